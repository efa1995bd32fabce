//! PyMongo's option objects as typed values, read once.

use std::sync::Arc;
use std::time::Duration;

use bson::{RawDocumentBuf, Timestamp};
use pyo3::prelude::*;

use super::once::name;
use super::{errors, imports};
use crate::auth::credentials::{Credentials, Mechanism};
use crate::codec::{self, CodecSettings};
use crate::error::{Allowed, Error, ErrorKind};
use crate::metadata::{DriverName, Metadata};
use crate::net::tls::settings::{TlsOptions, TlsSettings};
use crate::topology::read_preference::{ReadMode, ReadPreference};

/// From a `pymongo.read_preferences` object.
pub fn read_preference(preference: &Bound<'_, PyAny>) -> PyResult<ReadPreference> {
    let py = preference.py();
    let mode = match preference.getattr(name!(py, "mode"))?.extract::<u8>()? {
        0 => ReadMode::Primary,
        1 => ReadMode::PrimaryPreferred,
        2 => ReadMode::Secondary,
        3 => ReadMode::SecondaryPreferred,
        _ => ReadMode::Nearest,
    };
    let mut tag_sets = Vec::new();
    for tags in preference.getattr(name!(py, "tag_sets"))?.try_iter()? {
        let items = tags?.call_method0("items")?;
        let tags: PyResult<Vec<(String, String)>> =
            items.try_iter()?.map(|item| item?.extract()).collect();
        tag_sets.push(tags?);
    }
    let staleness: f64 = preference.getattr(name!(py, "max_staleness"))?.extract()?;
    let max_staleness = (staleness >= 0.0).then(|| Duration::from_secs_f64(staleness));
    // Not its `hedge`: that warns of the deprecated option whoever reads it.
    let whole = preference.getattr(name!(py, "document"))?;
    let hedge = match whole.call_method1(name!(py, "get"), (name!(py, "hedge"),))? {
        hedge if hedge.is_none() => None,
        hedge => Some(document(&hedge)?),
    };
    Ok(ReadPreference { mode, tag_sets, max_staleness, hedge })
}

/// From a `ReadConcern`; `None` for the server's default.
pub fn read_concern(concern: &Bound<'_, PyAny>) -> PyResult<Option<RawDocumentBuf>> {
    let said = concern.getattr(name!(concern.py(), "document"))?;
    if said.is_truthy()? { Ok(Some(document(&said)?)) } else { Ok(None) }
}

/// From a `WriteConcern`: its document (`None` for the server's default), and whether the server
/// answers at all.
pub fn write_concern(concern: &Bound<'_, PyAny>) -> PyResult<(Option<Arc<RawDocumentBuf>>, bool)> {
    let py = concern.py();
    let acknowledged = concern.getattr(name!(py, "acknowledged"))?.is_truthy()?;
    if concern.getattr(name!(py, "is_server_default"))?.is_truthy()? {
        return Ok((None, acknowledged));
    }
    let said = document(&concern.getattr(name!(py, "document"))?)?;
    Ok((Some(Arc::new(said)), acknowledged))
}

/// From the fields that matter here of PyMongo's credentials: mechanism, source, user, password.
pub fn credentials(given: &Bound<'_, PyAny>) -> PyResult<Option<Credentials>> {
    let given: Option<(String, String, Option<String>, Option<String>)> = given.extract()?;
    let Some((mechanism, source, user, password)) = given else { return Ok(None) };
    let mechanism = match mechanism.as_str() {
        "DEFAULT" => None,
        name => Some(Mechanism::named(name).ok_or_else(|| {
            pyo3::exceptions::PyValueError::new_err(format!("unknown mechanism {name}"))
        })?),
    };
    let password = password.unwrap_or_default().into();
    Ok(Some(Credentials { mechanism, source, user, password }))
}

/// The handshake's `client` document, and the drivers named in it.
pub fn metadata(
    document: &Bound<'_, PyAny>,
    drivers: &Bound<'_, PyAny>,
) -> PyResult<Arc<Metadata>> {
    let drivers: Vec<_> = drivers.extract()?;
    let drivers = drivers.into_iter().map(driver_name).collect();
    Ok(Arc::new(Metadata::new(self::document(document)?, drivers)))
}

pub fn driver_name(given: (String, Option<String>, Option<String>)) -> DriverName {
    let (name, version, platform) = given;
    DriverName { name, version, platform }
}

/// From PyMongo's `allowable_errors`: codes and messages. True stands for all errors, `None` for none.
pub fn allowed_errors(given: &Bound<'_, PyAny>) -> PyResult<Option<Arc<Allowed>>> {
    if given.is_none() {
        return Ok(None);
    }
    if let Ok(all) = given.extract::<bool>() {
        return Ok(all.then(|| Arc::new(Allowed { all, ..Allowed::default() })));
    }
    let mut allowed = Allowed::default();
    // As with PyMongo, what is no collection of errors is found out when there is an error: it has none.
    let Ok(items) = given.try_iter() else { return Ok(None) };
    for item in items {
        let item = item?;
        if let Ok(code) = item.extract() {
            allowed.codes.push(code);
        } else if let Ok(message) = item.extract() {
            allowed.messages.push(message);
        } // nothing else can equal a server's code or message
    }
    Ok(Some(Arc::new(allowed)))
}

/// From a mapping with the names of `TlsOptions`, or `None`. The files are read here.
pub fn tls(given: &Bound<'_, PyAny>) -> PyResult<Option<Arc<TlsSettings>>> {
    if given.is_none() {
        return Ok(None);
    }
    let options = TlsOptions {
        ca_file: given.get_item("ca_file")?.extract()?,
        certificate_key_file: given.get_item("certificate_key_file")?.extract()?,
        certificate_key_password: given
            .get_item("certificate_key_password")?
            .extract::<Option<String>>()?
            .map(Into::into),
        crl_file: given.get_item("crl_file")?.extract()?,
        allow_invalid_certificates: given.get_item("allow_invalid_certificates")?.extract()?,
        allow_invalid_hostnames: given.get_item("allow_invalid_hostnames")?.extract()?,
    };
    match TlsSettings::load(options) {
        Ok(settings) => Ok(Some(Arc::new(settings))),
        Err(reason) => {
            Err(errors::to_python(given.py(), &Error::new(ErrorKind::Configuration, reason)))
        }
    }
}

pub fn document(mapping: &Bound<'_, PyAny>) -> PyResult<RawDocumentBuf> {
    let settings = CodecSettings::from_python(imports::DEFAULT_CODEC_OPTIONS.get(mapping.py())?)?;
    let mut bytes = Vec::new();
    codec::encode_document(mapping, &settings, false, &mut bytes)?;
    RawDocumentBuf::from_bytes(bytes)
        .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))
}

/// From a `bson.Timestamp`.
pub fn timestamp(given: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    let field = |name| given.getattr(name)?.extract();
    Ok(Timestamp { time: field("time")?, increment: field("inc")? })
}

pub fn to_timestamp(py: Python<'_>, time: Option<Timestamp>) -> PyResult<Option<Bound<'_, PyAny>>> {
    time.map(|time| imports::TIMESTAMP.get(py)?.call1((time.time, time.increment))).transpose()
}

/// A core document as a plain dict.
pub fn to_dict<'py>(py: Python<'py>, document: &bson::RawDocument) -> PyResult<Bound<'py, PyAny>> {
    let settings = CodecSettings::from_python(imports::DEFAULT_CODEC_OPTIONS.get(py)?)?;
    codec::decode_document(py, document.as_bytes(), &settings)
}
