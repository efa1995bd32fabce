//! Documents on their way into a collection: each needs an `_id`, made here when it has none.

use pyo3::prelude::*;

use super::encode::encode_document;
use super::errors::Raised;
use super::object;
use super::raw::is_raw;
use super::settings::CodecSettings;
use crate::py::imports;
use crate::py::once::name;

/// Append `document` with its `_id` first, and answer the `_id`. A mapping without one gets a new ObjectId set
/// into it: the caller's object changes, as PyMongo's users expect. Raw documents go out as they are, and their
/// id is None.
pub fn encode_for_insert(
    document: &Bound<'_, PyAny>,
    settings: &CodecSettings,
    out: &mut Vec<u8>,
) -> PyResult<Py<PyAny>> {
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
    encode_document(document, settings, false, out)?;
    Ok(id.unbind())
}

fn new_id<'py>(document: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let id = imports::OBJECT_ID.get(document.py())?.call0()?;
    document.set_item(name!(document.py(), "_id"), &id)?;
    Ok(id)
}
