//! Bytes from whatever has a buffer. The decoder reads bytes objects only: those never change, while Python code
//! that decoding runs, another thread or another process may write into any other buffer.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// `data` itself if it is bytes, otherwise a copy of its buffer.
#[inline]
pub fn as_bytes<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    match data.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone()),
        Err(_) => View::of(data)?.copy(),
    }
}

/// A lent buffer of single bytes in a row, given back when dropped.
struct View<'py> {
    lent: ffi::Py_buffer,
    py: Python<'py>,
}

impl<'py> View<'py> {
    /// pyo3's own `PyBuffer<u8>` would refuse signed bytes and characters, and take what has gaps.
    fn of(data: &Bound<'py, PyAny>) -> PyResult<Self> {
        let mut lent = ffi::Py_buffer::new();
        // SAFETY: a live object and a fresh view; on success the view is filled in.
        if unsafe { ffi::PyObject_GetBuffer(data.as_ptr(), &mut lent, ffi::PyBUF_SIMPLE) } != 0 {
            return Err(PyErr::fetch(data.py()));
        }
        let view = View { lent, py: data.py() };
        if view.lent.itemsize == 1 && !view.lent.buf.is_null() && view.is_contiguous() {
            return Ok(view);
        }
        Err(PyValueError::new_err("BSON data must be a contiguous buffer of single bytes"))
    }

    fn is_contiguous(&self) -> bool {
        // SAFETY: a filled view; the call only reads it.
        unsafe { ffi::PyBuffer_IsContiguous(&self.lent, b'C' as std::ffi::c_char) != 0 }
    }

    fn copy(&self) -> PyResult<Bound<'py, PyBytes>> {
        // SAFETY: the view is contiguous, so `len` bytes lie at `buf` for as long as it is lent. They are
        // copied at once, and no reference to memory that others may write is made. Null means an exception.
        let copy = unsafe {
            let bytes = ffi::PyBytes_FromStringAndSize(self.lent.buf.cast(), self.lent.len);
            Bound::from_owned_ptr_or_err(self.py, bytes)?
        };
        Ok(copy.cast_into()?)
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer and not moved by the exporter's rules (a view may be copied as a
        // whole); released once. `py` proves the GIL.
        unsafe { ffi::PyBuffer_Release(&mut self.lent) }
    }
}
