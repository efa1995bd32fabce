//! The engine's part of an instance of a public class: an entry of the instance's `__dict__`.
//!
//! A base class in Rust that has fields gives all classes below it a memory layout of their own, and Python
//! derives no class from two with such layouts (`__slots__` make one, too). So the base classes have none.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use pyo3::{PyClass, ffi};

use super::once::name;

/// What `object.__dict__` returns, whatever the class makes of attributes.
pub fn dict<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: the GIL is held; a new reference or null with an exception set.
    let found = unsafe {
        let dict = ffi::PyObject_GenericGetDict(owner.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(owner.py(), dict)?
    };
    Ok(found.cast_into::<PyDict>()?)
}

/// The engine's part, made at its first use: a subclass need not call `__init__`.
pub fn part<'py, T>(dict: &Bound<'py, PyDict>) -> PyResult<Bound<'py, T>>
where
    T: PyClass + Default + Into<PyClassInitializer<T>>,
{
    let py = dict.py();
    let key = name!(py, "_ferromongo_engine");
    if let Some(found) = dict.get_item(key)? {
        return Ok(found.cast_into::<T>()?);
    }
    let made = Bound::new(py, T::default())?;
    // Making it may have run Python code, and that may have made one.
    if let Some(found) = dict.get_item(key)? {
        return Ok(found.cast_into::<T>()?);
    }
    dict.set_item(key, &made)?;
    Ok(made)
}

/// Whether an object has the methods its class was written with: remembered until the class changes, or
/// the object's number of attributes.
#[derive(Default)]
pub struct Plain(AtomicU64);

impl Plain {
    /// The methods are those of the class attribute `_plain`, a dict of names and functions.
    pub fn holds(&self, owner: &Bound<'_, PyAny>, dict: &Bound<'_, PyDict>) -> PyResult<bool> {
        let now = version(owner, dict);
        if now.is_some() && now == Some(self.0.load(Ordering::Relaxed)) {
            return Ok(true);
        }
        let (py, kind) = (owner.py(), owner.get_type());
        let methods = kind.getattr(name!(py, "_plain"))?.cast_into::<PyDict>()?;
        for (name, method) in methods.iter() {
            let name = name.cast_into::<PyString>()?;
            if dict.contains(&name)? || !has(&kind, &name, &method)? {
                return Ok(false);
            }
        }
        // Zero matches no version: it is looked at again the next time.
        self.0.store(version(owner, dict).unwrap_or(0), Ordering::Relaxed);
        Ok(true)
    }
}

fn has(
    kind: &Bound<'_, PyType>,
    name: &Bound<'_, PyString>,
    method: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    match kind.getattr(name) {
        Ok(found) => Ok(found.is(method)),
        Err(error) if error.is_instance_of::<PyAttributeError>(kind.py()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Of the class, which any change of it or of its bases changes, and the number of the object's attributes.
/// None if the class has no version now.
fn version(owner: &Bound<'_, PyAny>, dict: &Bound<'_, PyDict>) -> Option<u64> {
    // SAFETY: the GIL is held, and an object holds its type.
    let tag = unsafe { (*owner.get_type_ptr()).tp_version_tag };
    (tag != 0).then(|| (u64::from(tag) << 32) | (dict.len() as u64 & 0xffff_ffff))
}
