//! PyMongo's `CodecOptions`, read once: what decoding makes and how encoding treats the types with a choice.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::classes::Classes;
use super::once::name;

/// Immutable, built once per scope.
pub struct CodecSettings {
    pub(super) classes: &'static Classes,
    pub(super) options: Py<PyAny>,
    pub(super) document_class: DocumentClass,
    pub(super) time_zone: TimeZone,
    pub(super) datetime_conversion: DatetimeConversion,
    pub(super) uuid_representation: u8,
    /// None is "strict".
    unicode_errors: Option<CString>,
    pub(super) encoders: Option<Py<PyDict>>,
    pub(super) decoders: Option<Py<PyDict>>,
    pub(super) fallback_encoder: Option<Py<PyAny>>,
    /// The same without the type decoders, if there are any.
    for_servers: Option<Arc<CodecSettings>>,
}

pub(super) enum DocumentClass {
    Dict,
    /// `RawBSONDocument` or a subclass: called with the bytes and the options.
    Raw(Py<PyAny>),
    /// Any mutable mapping: called without arguments, then filled.
    Mapping(Py<PyAny>),
}

pub(super) enum TimeZone {
    Naive,
    /// A UTC object that goes into the datetime as it is.
    Utc(Py<PyAny>),
    /// A zone that `astimezone` converts to.
    Other(Py<PyAny>),
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum DatetimeConversion {
    Datetime,
    Clamp,
    Milliseconds,
    Auto,
}

impl CodecSettings {
    pub fn from_python(options: &Bound<'_, PyAny>) -> PyResult<CodecSettings> {
        CodecSettings::read(options, true)
    }

    fn read(options: &Bound<'_, PyAny>, with_decoders: bool) -> PyResult<CodecSettings> {
        let py = options.py();
        let classes = Classes::get(py)?;
        let registry = options.getattr(name!(py, "type_registry"))?;
        let codecs = |attribute: &Bound<'_, PyString>| -> PyResult<Option<Py<PyDict>>> {
            let map = registry.getattr(attribute)?.cast_into::<PyDict>()?;
            Ok((!map.is_empty()).then(|| map.unbind()))
        };
        let errors: String =
            options.getattr(name!(py, "unicode_decode_error_handler"))?.extract()?;
        let fallback_encoder = registry.getattr(name!(py, "_fallback_encoder"))?;
        let decoders = if with_decoders { codecs(name!(py, "_decoder_map"))? } else { None };
        let for_servers = match &decoders {
            None => None,
            Some(_) => {
                let without = PyDict::new(py);
                without.set_item(name!(py, "type_registry"), py.None())?;
                let without = options.call_method(name!(py, "with_options"), (), Some(&without))?;
                Some(Arc::new(CodecSettings::read(&without, false)?))
            }
        };
        Ok(CodecSettings {
            classes,
            options: options.clone().unbind(),
            document_class: DocumentClass::from_python(
                &options.getattr(name!(py, "document_class"))?,
            )?,
            time_zone: TimeZone::from_python(options, classes)?,
            datetime_conversion: match options
                .getattr(name!(py, "datetime_conversion"))?
                .extract::<i64>()?
            {
                1 => DatetimeConversion::Datetime,
                2 => DatetimeConversion::Clamp,
                3 => DatetimeConversion::Milliseconds,
                4 => DatetimeConversion::Auto,
                other => {
                    return Err(PyValueError::new_err(format!(
                        "unknown datetime_conversion: {other}"
                    )));
                }
            },
            uuid_representation: options.getattr(name!(py, "uuid_representation"))?.extract()?,
            unicode_errors: if errors == "strict" { None } else { Some(CString::new(errors)?) },
            encoders: codecs(name!(py, "_encoder_map"))?,
            decoders,
            fallback_encoder: (!fallback_encoder.is_none()).then(|| fallback_encoder.unbind()),
            for_servers,
        })
    }

    pub fn has_decoders(&self) -> bool {
        self.decoders.is_some()
    }

    /// For the server's own fields.
    pub(super) fn for_servers(&self) -> &CodecSettings {
        self.for_servers.as_deref().unwrap_or(self)
    }

    /// The same, to be kept.
    pub fn without_decoders(self: &Arc<Self>) -> Arc<CodecSettings> {
        self.for_servers.as_ref().unwrap_or(self).clone()
    }

    pub(crate) fn is_for(&self, options: &Bound<'_, PyAny>) -> bool {
        options.is(&self.options)
    }

    pub(super) fn unicode_errors(&self) -> Option<&CStr> {
        self.unicode_errors.as_deref()
    }

    /// Whether decoding runs no Python code at all.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.document_class, DocumentClass::Dict)
            && !matches!(self.time_zone, TimeZone::Other(_))
            && self.unicode_errors.is_none()
            && self.decoders.is_none()
    }
}

impl DocumentClass {
    fn from_python(class: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = class.py();
        // `dict[str, Any]` makes plain dicts too.
        let origin = class.getattr_opt(name!(py, "__origin__"))?;
        if origin.as_ref().unwrap_or(class).is(py.get_type::<PyDict>()) {
            return Ok(DocumentClass::Dict);
        }
        let marker = class
            .getattr_opt(name!(py, "_type_marker"))?
            .and_then(|marker| marker.extract::<i64>().ok());
        Ok(match marker {
            Some(RAW_DOCUMENT_MARKER) => DocumentClass::Raw(class.clone().unbind()),
            _ => DocumentClass::Mapping(class.clone().unbind()),
        })
    }
}

impl TimeZone {
    fn from_python(options: &Bound<'_, PyAny>, classes: &Classes) -> PyResult<Self> {
        let py = options.py();
        if !options.getattr(name!(py, "tz_aware"))?.is_truthy()? {
            return Ok(TimeZone::Naive);
        }
        let zone = options.getattr(name!(py, "tzinfo"))?;
        Ok(if zone.is_none() {
            TimeZone::Utc(classes.bson_utc.clone_ref(py))
        } else if zone.is(&classes.bson_utc) || zone.is(&classes.standard_utc) {
            TimeZone::Utc(zone.unbind())
        } else {
            TimeZone::Other(zone.unbind())
        })
    }
}

/// The `_type_marker` of `bson.raw_bson.RawBSONDocument`.
pub(super) const RAW_DOCUMENT_MARKER: i64 = 101;

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<CodecSettings>();
};
