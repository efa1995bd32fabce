//! Documents as a program holds them: a single one, or one after another as in a dump.

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyList};

use super::decode::{Decoder, decode_document};
use super::errors::Raised;
use super::object::{self, CollectorPause};
use super::raw::{contents, raw_document};
use super::settings::{CodecSettings, DocumentClass};
use super::view::as_bytes;

/// The one document that `data` holds. A raw document keeps the bytes object it came in.
pub fn decode_one<'py>(
    data: &Bound<'py, PyAny>,
    settings: &CodecSettings,
) -> PyResult<Bound<'py, PyAny>> {
    let py = data.py();
    let bytes = as_bytes(data)?;
    let DocumentClass::Raw(class) = &settings.document_class else {
        return decode_document(py, bytes.as_bytes(), settings);
    };
    Decoder::new(py, settings)
        .sole(bytes.as_bytes())
        .and_then(|_| raw_document(class, &bytes, settings))
        .map_err(|raised| raised.into_error(py))
}

/// All documents of `data`, which follow each other without gaps.
pub fn decode_sequence<'py>(
    data: &Bound<'py, PyAny>,
    settings: &CodecSettings,
) -> PyResult<Bound<'py, PyList>> {
    let py = data.py();
    let bytes = as_bytes(data)?;
    // As PyMongo does it: documents from a bytearray are bytes, however long they are.
    let may_view = !data.is_instance_of::<PyByteArray>();
    let _pause = settings.is_plain().then(|| CollectorPause::begin(py));
    let mut decoder = Decoder::new(py, settings);
    let mut documents = Vec::new();
    let mut list = || {
        let (data, mut at) = (bytes.as_bytes(), 0);
        while at < data.len() {
            let start = at;
            let whole = decoder.extent(data, &mut at)?;
            let document = match &settings.document_class {
                DocumentClass::Raw(class) => {
                    raw_document(class, &contents(&bytes, start..at, may_view)?, settings)?
                }
                _ => decoder.document(whole)?,
            };
            object::push(py, &mut documents, document)?;
        }
        object::list(py, &mut documents, 0)
    };
    let list = list().map_err(|raised: Raised| raised.into_error(py))?;
    Ok(list.cast_into::<PyList>()?)
}
