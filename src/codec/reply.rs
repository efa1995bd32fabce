//! Replies. Some fields are the server's own (counts, errors, cursor ids), others are the user's documents. The
//! user's type decoders are applied to the latter only.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::decode::{Decoder, decode_document};
use super::errors::Made;
use super::keys::Key;
use super::object;
use super::once::name;
use super::settings::CodecSettings;

/// Whose the fields of a reply are.
pub enum Contents {
    /// All are the server's.
    Servers,
    /// One is the user's, the others are the server's: then the reply itself is a dict.
    Field(Box<str>),
}

impl Contents {
    pub fn with(users: Option<&str>) -> Contents {
        users.map_or(Contents::Servers, |field| Contents::Field(field.into()))
    }
}

/// The body of a reply. The server's fields are decoded with all options except the type decoders.
pub fn decode_reply<'py>(
    py: Python<'py>,
    body: &[u8],
    settings: &CodecSettings,
    contents: &Contents,
) -> PyResult<Bound<'py, PyAny>> {
    match contents {
        Contents::Servers => decode_document(py, body, settings.for_servers()),
        Contents::Field(name) => {
            with_field(py, body, settings, name.as_bytes()).map_err(|raised| raised.into_error(py))
        }
    }
}

fn with_field<'py>(
    py: Python<'py>,
    body: &[u8],
    settings: &CodecSettings,
    field: &[u8],
) -> Made<'py> {
    let mut servers = Decoder::new(py, settings.for_servers());
    let mut users = Decoder::new(py, settings);
    let _pause = users.pause_if_large(body);
    let whole = servers.sole(body)?;
    let reply = object::dict(py)?;
    let data = &whole[..whole.len() - 1];
    let (mut at, mut count) = (4, 0);
    while at < data.len() {
        let element = at;
        let key = Key::scan(py, data, element + 1)?;
        at = key.end + 1;
        let decoder = if key.bytes(data) == field { &mut users } else { &mut servers };
        let name = match key.is_ascii() {
            true => key.name(py, data, count)?,
            false => key.wide_name(py, data, settings)?,
        };
        let value = decoder.value(element, data, &mut at)?;
        object::dict_set(&reply, &name, &value)?;
        count += 1;
    }
    Ok(reply.into_any())
}

/// An error reply. The error must be raised in any case, so text that cannot be decoded is replaced.
pub fn decode_error_reply<'py>(
    py: Python<'py>,
    body: &[u8],
    settings: &CodecSettings,
) -> PyResult<Bound<'py, PyAny>> {
    if settings.unicode_errors().is_some() {
        return decode_document(py, body, settings.for_servers());
    }
    let lenient = PyDict::new(py);
    lenient.set_item(name!(py, "unicode_decode_error_handler"), "replace")?;
    lenient.set_item(name!(py, "type_registry"), py.None())?;
    let options = settings.options.bind(py);
    let options = options.call_method(name!(py, "with_options"), (), Some(&lenient))?;
    decode_document(py, body, &CodecSettings::from_python(&options)?)
}
