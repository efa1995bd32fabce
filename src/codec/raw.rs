//! `RawBSONDocument`: bytes that stay bytes. They go in and out as they are, shared where that is safe.

use std::ops::Range;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::encode::type_marker;
use super::errors::{Made, OrRaise};
use super::object;
use super::once::name;
use super::settings::{CodecSettings, RAW_DOCUMENT_MARKER};
use super::view::{self, as_bytes};

pub fn is_raw(document: &Bound<'_, PyAny>) -> PyResult<bool> {
    let marker = type_marker(document).map_err(|raised| raised.into_error(document.py()))?;
    Ok(marker == Some(RAW_DOCUMENT_MARKER))
}

/// The bytes object of a raw document, a copy if it keeps another kind of buffer; None for any other document.
pub fn encoded_already<'py>(document: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    if object::as_dict(document).is_some() || !is_raw(document)? {
        return Ok(None);
    }
    as_bytes(&document.getattr(name!(document.py(), "raw"))?).map(Some)
}

/// A new document of the raw class, around `contents`, which are known to be one document: all that PyMongo's own
/// constructor looks at. A subclass's is called.
pub fn raw_document<'py>(
    class: &Py<PyAny>,
    contents: &Bound<'py, PyAny>,
    settings: &CodecSettings,
) -> Made<'py> {
    let py = contents.py();
    let pymongos = &settings.classes.raw_document;
    if class.is(&pymongos.class) {
        let options = settings.options.bind(py).clone();
        return pymongos.make(py, [contents.clone(), options, object::none(py)], false);
    }
    class.bind(py).call1((contents, &settings.options)).or_raise(py)
}

/// What a raw document at `place` keeps: all of `data` when that is the document, a view of it when the document
/// is long and `may_view`, otherwise a copy, which does not keep the rest alive.
pub fn contents<'py>(data: &Bound<'py, PyBytes>, place: Range<usize>, may_view: bool) -> Made<'py> {
    let (py, bytes) = (data.py(), data.as_bytes());
    if place.len() == bytes.len() {
        return Ok(data.clone().into_any());
    }
    if !may_view || place.len() < WORTH_A_VIEW {
        return object::bytes(py, &bytes[place]);
    }
    view::of_part(data, place)
}

/// PyMongo's limit: `RawBSONDocument.raw` is a memoryview from here on.
const WORTH_A_VIEW: usize = 4096;
