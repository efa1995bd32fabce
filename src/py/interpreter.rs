//! One interpreter per process. The engine keeps Python objects for good (classes, field names, settings), and they
//! belong to the interpreter that made them. pyo3 leaves it to the module to refuse a second one.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// The first interpreter to ask has the engine; others are told so.
pub fn claim(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: the GIL is held, so there is a current interpreter, and its number never changes.
    let this = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match OWNER.compare_exchange(NOBODY, this, Ordering::SeqCst, Ordering::SeqCst) {
        Err(owner) if owner != this => Err(PyImportError::new_err(
            "ferromongo serves one interpreter per process, and another one has loaded it already",
        )),
        _ => Ok(()),
    }
}

static OWNER: AtomicI64 = AtomicI64::new(NOBODY);
const NOBODY: i64 = -1;
