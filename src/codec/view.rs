//! Bytes from whatever has a buffer. The decoder reads bytes objects only: those never change, while Python code
//! that decoding runs, another thread or another process may write into any other buffer.

use std::ops::Range;

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use super::errors::{Made, OrRaise};
use super::object::owned;

/// `data` itself if it is bytes, otherwise a copy of its buffer.
#[inline]
pub fn as_bytes<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    match data.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone()),
        Err(_) => copy(data),
    }
}

/// A memoryview of a part of `data`, which it keeps alive.
pub fn of_part<'py>(data: &Bound<'py, PyBytes>, place: Range<usize>) -> Made<'py> {
    let view = PyMemoryView::from(data.as_any()).or_raise(data.py())?;
    let (start, end) = (place.start as isize, place.end as isize);
    // SAFETY: a live object; positions past its end would be cut. (pyo3's `PySlice` loses the references to its
    // three numbers.)
    unsafe { owned(data.py(), ffi::PySequence_GetSlice(view.as_ptr(), start, end)) }
}

/// What the buffer of `data` holds: single bytes in a row. pyo3's own `PyBuffer<u8>` would refuse signed bytes and
/// characters, and take what has gaps.
fn copy<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = data.py();
    let mut lent = Lent { view: ffi::Py_buffer::new(), _held: py };
    // SAFETY: a live object, and an empty view that stays where it is until it is given back. Once it is filled,
    // contiguous and not null, `len` bytes lie at `buf`. They are copied at once: no reference to memory that
    // others may write is made.
    unsafe {
        if ffi::PyObject_GetBuffer(data.as_ptr(), &mut lent.view, ffi::PyBUF_SIMPLE) != 0 {
            return Err(PyErr::fetch(py));
        }
        let view = &lent.view;
        let contiguous = ffi::PyBuffer_IsContiguous(view, b'C' as std::ffi::c_char) != 0;
        if view.itemsize != 1 || view.buf.is_null() || !contiguous {
            let message = "BSON data must be a contiguous buffer of single bytes";
            return Err(PyValueError::new_err(message));
        }
        let copy = ffi::PyBytes_FromStringAndSize(view.buf.cast(), view.len);
        Ok(Bound::from_owned_ptr_or_err(py, copy)?.cast_into()?)
    }
}

/// A view that is given back when dropped, if it was filled.
struct Lent<'py> {
    view: ffi::Py_buffer,
    _held: Python<'py>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // SAFETY: `_held` proves the GIL; the view is empty, which is fine, or filled and not yet given back.
        unsafe { ffi::PyBuffer_Release(&mut self.view) }
    }
}
