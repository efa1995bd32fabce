//! Documents on their way into a collection: each needs an `_id`, made here when it has none.

use pyo3::prelude::*;

use super::errors::Raised;
use super::object;
use super::once::name;
use super::raw::is_raw;
use super::settings::CodecSettings;
use super::types::object_id;

/// Makes the twelve bytes of a new ObjectId.
pub type NewId = fn(Python<'_>) -> PyResult<[u8; 12]>;

/// The document's `_id`. A mapping without one gets a new ObjectId set into it: the caller's object changes, as
/// PyMongo's users expect. Raw documents stay as they are, and their id is None.
pub fn ensure_id(
    document: &Bound<'_, PyAny>,
    settings: &CodecSettings,
    new_id: NewId,
) -> PyResult<Py<PyAny>> {
    let py = document.py();
    let add_id = || -> PyResult<_> {
        let id = object_id::from_bytes(py, settings.classes, new_id(py)?)
            .map_err(|raised: Raised| raised.into_error(py))?;
        document.set_item(name!(py, "_id"), &id)?;
        Ok(id)
    };
    let key = settings.classes.key_id.bind(py);
    let id = if let Some(document) = object::as_exact_dict(document) {
        match object::dict_get(document, key.as_any())
            .map_err(|raised: Raised| raised.into_error(py))?
        {
            Some(id) => id,
            None => add_id()?,
        }
    } else if is_raw(document)? {
        py.None().into_bound(py)
    } else if document.contains(key)? {
        document.get_item(key)?
    } else {
        add_id()?
    };
    Ok(id.unbind())
}
