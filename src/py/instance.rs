//! The engine's part of an instance of a public class: an entry of the instance's `__dict__`.
//!
//! A base class in Rust that has fields gives all classes below it a memory layout of their own, and Python
//! derives no class from two with such layouts (`__slots__` make one, too). So the base classes have none.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyDict, PyString, PyType};
use pyo3::{PyClass, ffi};

use super::last_found;
use super::once::name;

pub trait Part: PyClass<Frozen = True> + Sync + Default + Into<PyClassInitializer<Self>> {
    fn plain(&self) -> &Plain;
}

/// The engine's part, made at its first use: a subclass need not call `__init__`.
pub fn part<'py, T: Part>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, T>> {
    Ok(find(owner)?.0)
}

/// Gives a new object a part that exists.
pub fn set_part<T: Part>(owner: &Bound<'_, PyAny>, part: T) -> PyResult<()> {
    let part = Bound::new(owner.py(), part)?;
    dict(owner)?.set_item(name!(owner.py(), "_ferromongo_engine"), part)
}

/// The engine's part, if the object has the methods its class was written with: see `Plain`.
#[inline]
pub fn plain_part<'py, T: Part>(owner: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, T>>> {
    let dict = dict(owner)?;
    if let Some(part) = last_found::get(owner, &dict) {
        return Ok(Some(part));
    }
    look_for_plain_part(owner, &dict)
}

#[cold]
fn look_for_plain_part<'py, T: Part>(
    owner: &Bound<'py, PyAny>,
    dict: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, T>>> {
    let state = last_found::State::of(owner, dict);
    let (part, version) = find::<T>(owner)?;
    if !part.get().plain().holds(owner, version)? {
        return Ok(None);
    }
    if state == last_found::State::of(owner, dict) {
        last_found::set(dict, state, &part);
    }
    Ok(Some(part))
}

/// With the version of the object's methods: that of its class, which any change of the class or of its
/// bases changes, and the number of the object's attributes. `UNKNOWN` if the class has none now.
fn find<'py, T: Part>(owner: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, T>, u64)> {
    let py = owner.py();
    let dict = dict(owner)?;
    // SAFETY: the GIL is held, the dict is one. A part is borrowed from it, and is a T if its type says so; an
    // object keeps its type.
    unsafe {
        let key = name!(py, "_ferromongo_engine").as_ptr();
        let found = ffi::PyDict_GetItemWithError(dict.as_ptr(), key);
        if found.is_null() || ffi::Py_TYPE(found) != T::type_object_raw(py) {
            return Ok((other_part(owner, &dict)?, UNKNOWN));
        }
        let attributes = (*dict.as_ptr().cast::<ffi::PyDictObject>()).ma_used as u64;
        let class = u64::from((*owner.get_type_ptr()).tp_version_tag);
        let version = if class == 0 { UNKNOWN } else { (class << 32) | (attributes & 0xffff_ffff) };
        Ok((Bound::from_borrowed_ptr(py, found).cast_into_unchecked(), version))
    }
}

const UNKNOWN: u64 = 0;

/// What `object.__dict__` returns, whatever the class makes of attributes.
#[inline]
fn dict<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: the GIL is held; a new reference to a dict, or null with an exception set.
    unsafe {
        let dict = ffi::PyObject_GenericGetDict(owner.as_ptr(), std::ptr::null_mut());
        Ok(Bound::from_owned_ptr_or_err(owner.py(), dict)?.cast_into_unchecked())
    }
}

/// That of the object which a wrapper such as umongo's cursor stands for (by `__getattr__`), or a new one.
#[cold]
fn other_part<'py, T: Part>(
    owner: &Bound<'py, PyAny>,
    dict: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, T>> {
    let py = owner.py();
    let key = name!(py, "_ferromongo_engine");
    if let Some(found) = owner.getattr_opt(key)? {
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

/// Whether an object has the methods its class was written with: the version for which that was found so.
#[derive(Default)]
pub struct Plain(AtomicU64);

impl Plain {
    /// The methods are those of the class attribute `_plain`, a dict of names and functions.
    #[inline]
    pub fn holds(&self, owner: &Bound<'_, PyAny>, version: u64) -> PyResult<bool> {
        if version != UNKNOWN && version == self.0.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let holds = look(owner)?;
        self.0.store(if holds { version } else { UNKNOWN }, Ordering::Relaxed);
        Ok(holds)
    }
}

#[cold]
fn look(owner: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (py, kind) = (owner.py(), owner.get_type());
    let methods = kind.getattr(name!(py, "_plain"))?.cast_into::<PyDict>()?;
    for (name, method) in methods.iter() {
        let name = name.cast_into::<PyString>()?;
        if dict(owner)?.contains(&name)? || !has(&kind, &name, &method)? {
            return Ok(false);
        }
    }
    Ok(true)
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
