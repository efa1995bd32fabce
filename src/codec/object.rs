//! The C API calls of the hot paths, each in a small safe wrapper: `unsafe` of this room lives here, in
//! `classes.rs` (object layouts) and in `keys.rs` (the shared table).
//!
//! Two facts hold throughout: whoever has a `Python<'py>` or a `Bound<'py, _>` holds the GIL, and a `Bound`
//! is a live, non-null reference.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::errors::{Made, Raised};

/// Take over a new reference from the C API; null means that an exception is set.
#[inline]
pub fn owned(py: Python<'_>, pointer: *mut ffi::PyObject) -> Made<'_> {
    // SAFETY: callers pass what a C API function returned as a new reference, or null.
    unsafe { Bound::from_owned_ptr_or_opt(py, pointer) }.ok_or(Raised)
}

#[inline]
fn done(status: i32) -> Result<(), Raised> {
    if status < 0 { Err(Raised) } else { Ok(()) }
}

// ---- making objects

#[inline]
pub fn none(py: Python<'_>) -> Bound<'_, PyAny> {
    // SAFETY: None is always alive; the call adds a reference.
    unsafe { Bound::from_borrowed_ptr(py, ffi::Py_None()) }
}

#[inline]
pub fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    // SAFETY: True and False are always alive; the call adds a reference.
    unsafe { Bound::from_borrowed_ptr(py, if value { ffi::Py_True() } else { ffi::Py_False() }) }
}

#[inline]
pub fn float(py: Python<'_>, value: f64) -> Made<'_> {
    // SAFETY: the GIL is held.
    owned(py, unsafe { ffi::PyFloat_FromDouble(value) })
}

#[inline]
pub fn integer(py: Python<'_>, value: i64) -> Made<'_> {
    // SAFETY: the GIL is held.
    owned(py, unsafe { ffi::PyLong_FromLongLong(value) })
}

#[inline]
pub fn unsigned(py: Python<'_>, value: u64) -> Made<'_> {
    // SAFETY: the GIL is held.
    owned(py, unsafe { ffi::PyLong_FromUnsignedLongLong(value) })
}

#[inline]
pub fn bytes<'py>(py: Python<'py>, value: &[u8]) -> Made<'py> {
    // SAFETY: pointer and length come from one slice; the bytes are copied. A slice is never over isize::MAX.
    owned(py, unsafe {
        ffi::PyBytes_FromStringAndSize(value.as_ptr().cast(), value.len() as isize)
    })
}

/// A string from bytes that are known to be ASCII.
#[inline]
pub fn ascii<'py>(py: Python<'py>, value: &[u8]) -> Made<'py> {
    debug_assert!(value.is_ascii());
    if value.len() < 2 {
        // The interpreter shares empty and one-letter strings: those must not be written into.
        // SAFETY: pointer and length come from one slice.
        return owned(py, unsafe {
            ffi::PyUnicode_DecodeLatin1(
                value.as_ptr().cast(),
                value.len() as isize,
                std::ptr::null(),
            )
        });
    }
    // SAFETY: a new string of `len` one-byte characters that nobody else has seen: its data may be written,
    // and has room for exactly `len` bytes.
    unsafe {
        let text = owned(py, ffi::PyUnicode_New(value.len() as isize, 127))?;
        std::ptr::copy_nonoverlapping(
            value.as_ptr(),
            ffi::PyUnicode_1BYTE_DATA(text.as_ptr()),
            value.len(),
        );
        Ok(text)
    }
}

/// A string from characters whose number and greatest are known.
pub fn characters<'py>(py: Python<'py>, value: &str, count: usize, greatest: char) -> Made<'py> {
    debug_assert!(
        count > 1 && count == value.chars().count() && value.chars().max() == Some(greatest)
    );
    // SAFETY: a new string of `count` characters (two at least, so not a shared one) in the width that fits
    // `greatest`; exactly `count` characters are written, none greater than that.
    unsafe {
        let text = owned(py, ffi::PyUnicode_New(count as isize, greatest as u32))?;
        match ffi::PyUnicode_KIND(text.as_ptr()) {
            ffi::PyUnicode_1BYTE_KIND => {
                let data = ffi::PyUnicode_1BYTE_DATA(text.as_ptr());
                value.chars().enumerate().for_each(|(i, c)| data.add(i).write(c as u32 as u8));
            }
            ffi::PyUnicode_2BYTE_KIND => {
                let data = ffi::PyUnicode_2BYTE_DATA(text.as_ptr());
                value.chars().enumerate().for_each(|(i, c)| data.add(i).write(c as u32 as u16));
            }
            _ => {
                let data = ffi::PyUnicode_4BYTE_DATA(text.as_ptr());
                value.chars().enumerate().for_each(|(i, c)| data.add(i).write(c as u32));
            }
        }
        Ok(text)
    }
}

/// Python's own UTF-8 decoder, with an error handler's name or None for "strict".
pub fn decode_utf8<'py>(py: Python<'py>, value: &[u8], errors: Option<&CStr>) -> Made<'py> {
    let errors = errors.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: pointer and length come from one slice; `errors` is null or a C string.
    owned(py, unsafe {
        ffi::PyUnicode_DecodeUTF8(value.as_ptr().cast(), value.len() as isize, errors)
    })
}

/// `text.encode()` by Python itself.
pub fn encode_utf8<'py>(text: &Bound<'py, PyAny>) -> Made<'py> {
    // SAFETY: a live reference; the callee checks that it is a string.
    owned(text.py(), unsafe { ffi::PyUnicode_AsUTF8String(text.as_ptr()) })
}

#[inline]
pub fn dict(py: Python<'_>) -> Made<'_> {
    // SAFETY: the GIL is held.
    owned(py, unsafe { ffi::PyDict_New() })
}

/// `values.push(value)`, but a MemoryError where that would end the process.
#[inline]
pub fn push<'py>(
    py: Python<'py>,
    values: &mut Vec<Bound<'py, PyAny>>,
    value: Bound<'py, PyAny>,
) -> Result<(), Raised> {
    if values.len() == values.capacity() {
        values.try_reserve(1).map_err(|_| no_memory(py))?;
    }
    values.push(value);
    Ok(())
}

/// A list of `values[from..]`, which leave the vector.
pub fn list<'py>(py: Python<'py>, values: &mut Vec<Bound<'py, PyAny>>, from: usize) -> Made<'py> {
    // SAFETY: the new list has as many empty places as values are drained; each takes over one reference.
    unsafe {
        let list = owned(py, ffi::PyList_New((values.len() - from) as isize))?;
        for (index, value) in values.drain(from..).enumerate() {
            ffi::PyList_SET_ITEM(list.as_ptr(), index as isize, value.into_ptr());
        }
        Ok(list)
    }
}

/// An unsigned number of 128 bits. (pyo3's own conversion panics when there is no memory for it.)
#[inline]
pub fn wide_unsigned(py: Python<'_>, value: u128) -> Made<'_> {
    unsafe extern "C" {
        // Exported and the same from 3.11 to 3.14; pyo3 has it for versions below 3.13 only.
        fn _PyLong_FromByteArray(
            bytes: *const u8,
            count: usize,
            little_endian: std::ffi::c_int,
            is_signed: std::ffi::c_int,
        ) -> *mut ffi::PyObject;
    }
    let bytes = value.to_le_bytes();
    // SAFETY: pointer and count are those of the array.
    owned(py, unsafe { _PyLong_FromByteArray(bytes.as_ptr(), bytes.len(), 1, 0) })
}

// ---- messages and exceptions

/// `before`, then `repr(object)`, which may raise.
pub fn text_and_repr<'py>(before: &CStr, object: &Bound<'py, PyAny>) -> Made<'py> {
    // SAFETY: the format takes one C string and one object, and both live through the call.
    owned(object.py(), unsafe {
        ffi::PyUnicode_FromFormat(c"%s%R".as_ptr(), before.as_ptr(), object.as_ptr())
    })
}

/// `before`, then `str(object)`, which may raise.
pub fn text_and_str<'py>(before: &CStr, object: &Bound<'py, PyAny>) -> Made<'py> {
    // SAFETY: as above.
    owned(object.py(), unsafe {
        ffi::PyUnicode_FromFormat(c"%s%S".as_ptr(), before.as_ptr(), object.as_ptr())
    })
}

/// Two texts, each followed by what `repr` says of an object.
pub fn two_reprs<'py>(
    before: &CStr,
    first: &Bound<'py, PyAny>,
    between: &CStr,
    second: &Bound<'py, PyAny>,
) -> Made<'py> {
    // SAFETY: the format takes two C strings and two objects, in turn, and all live through the call.
    owned(first.py(), unsafe {
        ffi::PyUnicode_FromFormat(
            c"%s%R%s%R".as_ptr(),
            before.as_ptr(),
            first.as_ptr(),
            between.as_ptr(),
            second.as_ptr(),
        )
    })
}

/// Raise `class(message)`.
pub fn set_error(class: &Bound<'_, PyAny>, message: &Bound<'_, PyAny>) -> Raised {
    // SAFETY: live references; the callee adds its own, and raises TypeError for what is not an exception class.
    unsafe { ffi::PyErr_SetObject(class.as_ptr(), message.as_ptr()) };
    Raised
}

/// Raise MemoryError.
pub fn no_memory(_py: Python<'_>) -> Raised {
    // SAFETY: the GIL is held; the exception was made at the interpreter's start.
    unsafe { ffi::PyErr_NoMemory() };
    Raised
}

// ---- using objects

/// `dict[key] = value` for an exact dict (or to skip a subclass's `__setitem__`).
#[inline]
pub fn dict_set(
    dict: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> Result<(), Raised> {
    // SAFETY: live references; the callee adds its own and checks that `dict` is one.
    done(unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) })
}

/// `document[key] = value` for any mapping.
pub fn set_item(
    document: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> Result<(), Raised> {
    // SAFETY: live references; the callee adds its own.
    done(unsafe { ffi::PyObject_SetItem(document.as_ptr(), key.as_ptr(), value.as_ptr()) })
}

/// `dict.get(key)` without `__missing__` or an overridden `__getitem__`.
#[inline]
pub fn dict_get<'py>(
    dict: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
) -> Result<Option<Bound<'py, PyAny>>, Raised> {
    // SAFETY: `dict` passed PyDict_Check at the callers; the borrowed result gets a reference at once.
    unsafe {
        let found = ffi::PyDict_GetItemWithError(dict.as_ptr(), key.as_ptr());
        if found.is_null() && !ffi::PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        Ok(Bound::from_borrowed_ptr_or_opt(dict.py(), found))
    }
}

/// The next entry of a dict, both sides held: Python code may change the dict before they are used.
#[inline]
pub fn dict_next<'py>(
    dict: &Bound<'py, PyAny>,
    position: &mut isize,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: `dict` passed PyDict_Check; a position from an earlier call stays valid even if the dict changed
    // (entries may then be missed or met twice); the borrowed pair gets references at once.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), position, &mut key, &mut value) == 0 {
            return None;
        }
        Some((Bound::from_borrowed_ptr(dict.py(), key), Bound::from_borrowed_ptr(dict.py(), value)))
    }
}

/// The item of a list, or None past its present end.
#[inline]
pub fn list_item<'py>(list: &Bound<'py, PyAny>, index: usize) -> Option<Bound<'py, PyAny>> {
    // SAFETY: `list` passed PyList_Check; the length is read anew each time, so the item exists.
    unsafe {
        (index < ffi::PyList_GET_SIZE(list.as_ptr()) as usize).then(|| {
            Bound::from_borrowed_ptr(list.py(), ffi::PyList_GET_ITEM(list.as_ptr(), index as isize))
        })
    }
}

/// The item of a tuple, or None past its end.
#[inline]
pub fn tuple_item<'py>(tuple: &Bound<'py, PyAny>, index: usize) -> Option<Bound<'py, PyAny>> {
    // SAFETY: `tuple` passed PyTuple_Check; tuples keep their length.
    unsafe {
        (index < ffi::PyTuple_GET_SIZE(tuple.as_ptr()) as usize).then(|| {
            Bound::from_borrowed_ptr(
                tuple.py(),
                ffi::PyTuple_GET_ITEM(tuple.as_ptr(), index as isize),
            )
        })
    }
}

#[inline]
pub fn float_value(float: &Bound<'_, PyAny>) -> f64 {
    // SAFETY: `float` passed PyFloat_Check.
    unsafe { ffi::PyFloat_AS_DOUBLE(float.as_ptr()) }
}

/// The value of an int, None when it needs more than 64 bits.
#[inline]
pub fn integer_value(integer: &Bound<'_, PyAny>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: `integer` passed PyLong_Check, so the only failure is overflow, which sets no exception.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &mut overflow) };
    (overflow == 0).then_some(value)
}

/// The contents of a bytes object (or of a subclass).
#[inline]
pub fn bytes_value<'a>(bytes: &'a Bound<'_, PyAny>) -> &'a [u8] {
    // SAFETY: `bytes` passed PyBytes_Check; its contents never change and live as long as the reference.
    unsafe {
        let data = ffi::PyBytes_AS_STRING(bytes.as_ptr());
        std::slice::from_raw_parts(data.cast(), ffi::Py_SIZE(bytes.as_ptr()) as usize)
    }
}

/// What a string holds, in the interpreter's own width.
pub enum Characters<'a> {
    Ascii(&'a [u8]),
    Latin1(&'a [u8]),
    Wide(&'a [u16]),
    Full(&'a [u32]),
}

#[inline]
pub fn characters_of<'a>(text: &'a Bound<'_, PyAny>) -> Characters<'a> {
    let pointer = text.as_ptr();
    // SAFETY: `text` passed PyUnicode_Check; data, length and kind belong together, never change, and live as
    // long as the reference. Strings of the legacy, not yet ready form are made ready first (before 3.12).
    unsafe {
        ffi::PyUnicode_READY(pointer);
        let length = ffi::PyUnicode_GET_LENGTH(pointer) as usize;
        let data = ffi::PyUnicode_DATA(pointer);
        match ffi::PyUnicode_KIND(pointer) {
            ffi::PyUnicode_1BYTE_KIND => {
                let data = std::slice::from_raw_parts(data.cast(), length);
                if ffi::PyUnicode_IS_ASCII(pointer) != 0 {
                    Characters::Ascii(data)
                } else {
                    Characters::Latin1(data)
                }
            }
            ffi::PyUnicode_2BYTE_KIND => {
                Characters::Wide(std::slice::from_raw_parts(data.cast(), length))
            }
            _ => Characters::Full(std::slice::from_raw_parts(data.cast(), length)),
        }
    }
}

// ---- asking what an object is

macro_rules! kind_of {
    ($($(#[$doc:meta])* $name:ident => $check:ident;)*) => {
        $($(#[$doc])* #[inline] pub fn $name(object: &Bound<'_, PyAny>) -> bool {
            // SAFETY: a live reference; the macro-like check only reads its type.
            unsafe { ffi::$check(object.as_ptr()) != 0 }
        })*
    };
}

kind_of! {
    is_exact_dict => PyDict_CheckExact;
    is_dict => PyDict_Check;
    is_exact_list => PyList_CheckExact;
    is_list => PyList_Check;
    is_exact_tuple => PyTuple_CheckExact;
    is_tuple => PyTuple_Check;
    is_exact_text => PyUnicode_CheckExact;
    is_text => PyUnicode_Check;
    is_exact_bytes => PyBytes_CheckExact;
    is_bytes => PyBytes_Check;
    is_exact_integer => PyLong_CheckExact;
    is_integer => PyLong_Check;
    is_exact_float => PyFloat_CheckExact;
    is_float => PyFloat_Check;
    is_boolean => PyBool_Check;
}

#[inline]
pub fn is_none(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: compares addresses only.
    unsafe { object.as_ptr() == ffi::Py_None() }
}

#[inline]
pub fn is_true(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: compares addresses only.
    unsafe { object.as_ptr() == ffi::Py_True() }
}

/// `type(object) is class`.
#[inline]
pub fn is_exactly(object: &Bound<'_, PyAny>, class: &Py<pyo3::types::PyType>) -> bool {
    // SAFETY: a live reference; compares the address of its type only.
    unsafe { ffi::Py_TYPE(object.as_ptr()) == class.as_ptr().cast() }
}

// ---- the interpreter

pub fn enter_recursive_call(_py: Python<'_>, what: &'static CStr) -> Result<(), Raised> {
    // SAFETY: the GIL is held; `what` is a static C string.
    let refused = unsafe { ffi::Py_EnterRecursiveCall(what.as_ptr()) } != 0; // 1 or -1, by version
    if refused { Err(Raised) } else { Ok(()) }
}

pub fn leave_recursive_call() {
    // SAFETY: called once for each successful `enter_recursive_call`, on the same thread, by `Nested`.
    unsafe { ffi::Py_LeaveRecursiveCall() }
}

/// Holds the cyclic garbage collector off while it lives. Only for stretches in which no Python code can run:
/// nobody sees the switch then, and everything made meanwhile is alive anyway, so looking for cycles in it
/// again and again would be for nothing.
pub struct CollectorPause<'py> {
    was_on: bool,
    _held: Python<'py>,
}

impl<'py> CollectorPause<'py> {
    pub fn begin(py: Python<'py>) -> Self {
        // SAFETY: the GIL is held; flips a flag.
        CollectorPause { was_on: unsafe { ffi::PyGC_Disable() } != 0, _held: py }
    }
}

impl Drop for CollectorPause<'_> {
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: `_held` proves the GIL; flips a flag.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
