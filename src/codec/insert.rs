//! Documents on their way into a collection: each needs an `_id`, made here when it has none.

use pyo3::prelude::*;

use super::errors::Raised;
use super::object;
use super::settings::{CodecSettings, RAW_DOCUMENT_MARKER};
use crate::py::imports;
use crate::py::once::name;

/// The document's `_id`. A mapping without one gets a new ObjectId set into it: the caller's object changes, as
/// PyMongo's users expect. Raw documents stay as they are, and their id is None.
pub fn ensure_id(document: &Bound<'_, PyAny>, settings: &CodecSettings) -> PyResult<Py<PyAny>> {
    let py = document.py();
    let key = settings.classes.key_id.bind(py);
    let id = if object::is_exact_dict(document) {
        match object::dict_get(document, key.as_any())
            .map_err(|raised: Raised| raised.into_error(py))?
        {
            Some(id) => id,
            None => new_id(document)?,
        }
    } else if is_raw(document)? {
        py.None().into_bound(py)
    } else if document.contains(key)? {
        document.get_item(key)?
    } else {
        new_id(document)?
    };
    Ok(id.unbind())
}

fn new_id<'py>(document: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let id = imports::OBJECT_ID.get(document.py())?.call0()?;
    document.set_item(name!(document.py(), "_id"), &id)?;
    Ok(id)
}

fn is_raw(document: &Bound<'_, PyAny>) -> PyResult<bool> {
    let marker = document.getattr_opt(name!(document.py(), "_type_marker"))?;
    Ok(marker.is_some_and(|marker| {
        marker.extract::<i64>().is_ok_and(|marker| marker == RAW_DOCUMENT_MARKER)
    }))
}
