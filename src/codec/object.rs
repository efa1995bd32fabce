//! The C API calls of the hot paths, each in a small safe wrapper: `unsafe` of this room lives here, in
//! `classes.rs` (object layouts) and in `keys.rs` (the shared table).
//!
//! Two facts hold throughout: code that has a `Python<'py>` or a `Bound<'py, _>` holds the GIL, and a `Bound<'py, T>`
//! is a live, non-null reference to a `T`. Further preconditions are expressed by argument types
//! (`as_dict` and similar functions check them); where a type cannot express one, the function is unsafe.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::errors::{Made, Raised};

/// Take over a new reference from the C API; null means that an exception is set.
///
/// # Safety
/// `pointer` is null or a reference that belongs to the caller.
#[inline(always)]
pub unsafe fn owned(py: Python<'_>, pointer: *mut ffi::PyObject) -> Made<'_> {
    // SAFETY: guaranteed by the caller.
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
    // SAFETY: the GIL is held; a new reference or null.
    unsafe { owned(py, ffi::PyFloat_FromDouble(value)) }
}

#[inline]
pub fn integer(py: Python<'_>, value: i64) -> Made<'_> {
    // SAFETY: the GIL is held; a new reference or null.
    unsafe { owned(py, ffi::PyLong_FromLongLong(value)) }
}

#[inline]
pub fn unsigned(py: Python<'_>, value: u64) -> Made<'_> {
    // SAFETY: the GIL is held; a new reference or null.
    unsafe { owned(py, ffi::PyLong_FromUnsignedLongLong(value)) }
}

#[inline]
pub fn bytes<'py>(py: Python<'py>, value: &[u8]) -> Made<'py> {
    // SAFETY: pointer and length come from one slice; the bytes are copied. A slice is never over isize::MAX.
    unsafe {
        owned(py, ffi::PyBytes_FromStringAndSize(value.as_ptr().cast(), value.len() as isize))
    }
}

/// Bytes that were seen to be ASCII.
#[derive(Clone, Copy)]
pub struct Ascii<'a>(&'a [u8]);

impl<'a> Ascii<'a> {
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Option<Ascii<'a>> {
        bytes.is_ascii().then_some(Ascii(bytes))
    }
}

#[inline]
pub fn ascii<'py>(py: Python<'py>, Ascii(value): Ascii<'_>) -> Made<'py> {
    if value.len() < 2 {
        // The interpreter shares empty and one-letter strings: those must not be written into.
        // SAFETY: pointer and length come from one slice.
        return unsafe {
            let data = value.as_ptr().cast();
            owned(py, ffi::PyUnicode_DecodeLatin1(data, value.len() as isize, std::ptr::null()))
        };
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

/// A string of any characters. (Python's own decoder guesses the width and starts again when it was wrong;
/// counting first is cheaper.)
pub fn characters<'py>(py: Python<'py>, value: &str) -> Made<'py> {
    let (count, greatest) =
        value.chars().fold((0, '\0'), |(count, greatest), c| (count + 1, greatest.max(c)));
    if count < 2 {
        return decode_utf8(py, value.as_bytes(), None); // the interpreter shares it
    }
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

/// A string that the interpreter shares. (pyo3's own way panics when there is no memory for it.)
pub fn intern<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyString>> {
    let made = decode_utf8(py, text.as_bytes(), None).map_err(|raised| raised.into_error(py))?;
    let mut pointer = made.into_ptr();
    // SAFETY: a new string, whose reference the callee may replace with one to another string.
    unsafe {
        ffi::PyUnicode_InternInPlace(&mut pointer);
        Ok(Bound::from_owned_ptr(py, pointer).cast_into_unchecked())
    }
}

/// The module of that name. (pyo3's own way panics, too.)
pub fn import<'py>(py: Python<'py>, module: &str) -> PyResult<Bound<'py, PyAny>> {
    let name = intern(py, module)?;
    // SAFETY: a live string; a new reference or null.
    unsafe { owned(py, ffi::PyImport_Import(name.as_ptr())) }
        .map_err(|raised| raised.into_error(py))
}

/// Python's own UTF-8 decoder, with an error handler's name or None for "strict".
pub fn decode_utf8<'py>(py: Python<'py>, value: &[u8], errors: Option<&CStr>) -> Made<'py> {
    let errors = errors.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: pointer and length come from one slice; `errors` is null or a C string.
    unsafe {
        let (data, length) = (value.as_ptr().cast(), value.len() as isize);
        owned(py, ffi::PyUnicode_DecodeUTF8(data, length, errors))
    }
}

/// `text.encode()` by Python itself.
pub fn encode_utf8<'py>(text: &Bound<'py, PyString>) -> Made<'py> {
    // SAFETY: a live string; a new reference or null.
    unsafe { owned(text.py(), ffi::PyUnicode_AsUTF8String(text.as_ptr())) }
}

#[inline]
pub fn dict(py: Python<'_>) -> Result<Bound<'_, PyDict>, Raised> {
    // SAFETY: the GIL is held; a new dict or null.
    unsafe { owned(py, ffi::PyDict_New()).map(|dict| dict.cast_into_unchecked()) }
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
    let drained = values.drain(from..);
    // SAFETY: the new list has as many empty places as values are drained; each takes over one reference.
    unsafe {
        let list = owned(py, ffi::PyList_New(drained.len() as isize))?;
        for (index, value) in drained.enumerate() {
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
    unsafe { owned(py, _PyLong_FromByteArray(bytes.as_ptr(), bytes.len(), 1, 0)) }
}

// ---- messages and exceptions

/// `before`, then `repr(object)`, which may raise.
pub fn text_and_repr<'py>(before: &CStr, object: &Bound<'py, PyAny>) -> Made<'py> {
    // SAFETY: the format takes one C string and one object, and both live through the call.
    unsafe {
        let text = ffi::PyUnicode_FromFormat(c"%s%R".as_ptr(), before.as_ptr(), object.as_ptr());
        owned(object.py(), text)
    }
}

/// `before`, then `str(object)`, which may raise.
pub fn text_and_str<'py>(before: &CStr, object: &Bound<'py, PyAny>) -> Made<'py> {
    // SAFETY: as above.
    unsafe {
        let text = ffi::PyUnicode_FromFormat(c"%s%S".as_ptr(), before.as_ptr(), object.as_ptr());
        owned(object.py(), text)
    }
}

/// Two texts, each followed by what `repr` says of an object.
pub fn two_reprs<'py>(
    before: &CStr,
    first: &Bound<'py, PyAny>,
    between: &CStr,
    second: &Bound<'py, PyAny>,
) -> Made<'py> {
    // SAFETY: the format takes two C strings and two objects, in turn, and all live through the call.
    unsafe {
        let text = ffi::PyUnicode_FromFormat(
            c"%s%R%s%R".as_ptr(),
            before.as_ptr(),
            first.as_ptr(),
            between.as_ptr(),
            second.as_ptr(),
        );
        owned(first.py(), text)
    }
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

/// `dict[key] = value`, past a subclass's `__setitem__`.
#[inline]
pub fn dict_set(
    dict: &Bound<'_, PyDict>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> Result<(), Raised> {
    // SAFETY: live references; the callee adds its own.
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
    dict: &Bound<'py, PyDict>,
    key: &Bound<'py, PyAny>,
) -> Result<Option<Bound<'py, PyAny>>, Raised> {
    // SAFETY: a live dict and key; the borrowed result gets a reference at once.
    unsafe {
        let found = ffi::PyDict_GetItemWithError(dict.as_ptr(), key.as_ptr());
        if found.is_null() && !ffi::PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        Ok(Bound::from_borrowed_ptr_or_opt(dict.py(), found))
    }
}

/// The next entry of a dict, both sides held: Python code may change the dict before they are used.
#[inline(always)]
pub fn dict_next<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut isize,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: a live dict; the callee takes any position, also one from before the dict changed (entries may
    // then be missed or returned twice), and returns 0 past the end; the borrowed pair gets references at once.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), position, &mut key, &mut value) == 0 {
            return None;
        }
        Some((Bound::from_borrowed_ptr(dict.py(), key), Bound::from_borrowed_ptr(dict.py(), value)))
    }
}

/// The item of a list, or None past its present end.
#[inline(always)]
pub fn list_item<'py>(list: &Bound<'py, PyList>, index: usize) -> Option<Bound<'py, PyAny>> {
    // SAFETY: a live list; its length is read each time, so the item exists, and it gets a reference at once.
    unsafe {
        (index < ffi::PyList_GET_SIZE(list.as_ptr()) as usize).then(|| {
            Bound::from_borrowed_ptr(list.py(), ffi::PyList_GET_ITEM(list.as_ptr(), index as isize))
        })
    }
}

/// The item of a tuple, or None past its end.
#[inline(always)]
pub fn tuple_item<'py>(tuple: &Bound<'py, PyTuple>, index: usize) -> Option<Bound<'py, PyAny>> {
    // SAFETY: a live tuple; the index is within its length.
    unsafe {
        (index < ffi::PyTuple_GET_SIZE(tuple.as_ptr()) as usize).then(|| {
            Bound::from_borrowed_ptr(
                tuple.py(),
                ffi::PyTuple_GET_ITEM(tuple.as_ptr(), index as isize),
            )
        })
    }
}

#[inline(always)]
pub fn float_value(float: &Bound<'_, PyFloat>) -> f64 {
    // SAFETY: a live float (or an instance of a subclass, which begins like one).
    unsafe { ffi::PyFloat_AS_DOUBLE(float.as_ptr()) }
}

/// The value of an int, None when it needs more than 64 bits.
#[inline(always)]
pub fn integer_value(integer: &Bound<'_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: a live int, so the only failure is overflow, which sets no exception.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(integer.as_ptr(), &mut overflow) };
    (overflow == 0).then_some(value)
}

/// The contents of a bytes object (or of a subclass).
#[inline(always)]
pub fn bytes_value<'a>(bytes: &'a Bound<'_, PyBytes>) -> &'a [u8] {
    // SAFETY: a live bytes object; its contents never change and live as long as the reference.
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

#[inline(always)]
pub fn characters_of<'a>(text: &'a Bound<'_, PyString>) -> Result<Characters<'a>, Raised> {
    let pointer = text.as_ptr();
    // SAFETY: a live string; data, length and kind belong together, never change, and live as long as the
    // reference. Strings of the legacy, not yet ready form are made ready first (before 3.12).
    unsafe {
        done(ffi::PyUnicode_READY(pointer))?;
        let length = ffi::PyUnicode_GET_LENGTH(pointer) as usize;
        let data = ffi::PyUnicode_DATA(pointer);
        Ok(match ffi::PyUnicode_KIND(pointer) {
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
        })
    }
}

// ---- asking what an object is

macro_rules! kind_of {
    ($($name:ident => $check:ident, $class:ty;)*) => {
        $(#[inline(always)]
        pub fn $name<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, $class>> {
            // SAFETY: a live reference; the macro-like check reads its type, which is what the cast asks for.
            unsafe {
                if ffi::$check(object.as_ptr()) != 0 {
                    Some(object.cast_unchecked())
                } else {
                    None
                }
            }
        })*
    };
}

kind_of! {
    as_exact_dict => PyDict_CheckExact, PyDict;
    as_dict => PyDict_Check, PyDict;
    as_exact_list => PyList_CheckExact, PyList;
    as_list => PyList_Check, PyList;
    as_exact_tuple => PyTuple_CheckExact, PyTuple;
    as_tuple => PyTuple_Check, PyTuple;
    as_exact_text => PyUnicode_CheckExact, PyString;
    as_text => PyUnicode_Check, PyString;
    as_exact_bytes => PyBytes_CheckExact, PyBytes;
    as_bytes => PyBytes_Check, PyBytes;
    as_exact_integer => PyLong_CheckExact, PyInt;
    as_integer => PyLong_Check, PyInt;
    as_exact_float => PyFloat_CheckExact, PyFloat;
    as_float => PyFloat_Check, PyFloat;
}

#[inline(always)]
pub fn is_boolean(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live reference; the macro-like check only reads its type.
    unsafe { ffi::PyBool_Check(object.as_ptr()) != 0 }
}

#[inline(always)]
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
#[inline(always)]
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

/// # Safety
/// Once for each successful `enter_recursive_call`, on the same thread and with the GIL held.
pub unsafe fn leave_recursive_call() {
    // SAFETY: guaranteed by the caller.
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
