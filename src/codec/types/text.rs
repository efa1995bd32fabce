//! UTF-8 strings in both directions, without a copy in between.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::codec::buffer;
use crate::codec::decode::Decoder;
use crate::codec::errors::{Made, Raised, as_invalid_bson, invalid_bson};
use crate::codec::object::{self, Ascii, Characters};

/// A BSON string: length, bytes, NUL.
#[inline]
pub fn decode<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    make(decoder.py, contents(decoder, data, at)?, decoder.settings.unicode_errors())
}

/// The bytes of a BSON string.
#[inline]
pub fn contents<'b>(
    decoder: &Decoder<'_, '_>,
    data: &'b [u8],
    at: &mut usize,
) -> Result<&'b [u8], Raised> {
    let length = decoder.length(data, at)?;
    match decoder.take_slice(data, at, length)?.split_last() {
        Some((0, contents)) => Ok(contents),
        _ => Err(invalid_bson(decoder.py, "a string does not end with a NUL")),
    }
}

/// A Python string from UTF-8.
#[inline]
pub fn make<'py>(py: Python<'py>, bytes: &[u8], errors: Option<&CStr>) -> Made<'py> {
    match Ascii::of(bytes) {
        Some(bytes) => object::ascii(py, bytes),
        None => make_wide(py, bytes, errors),
    }
}

fn make_wide<'py>(py: Python<'py>, bytes: &[u8], errors: Option<&CStr>) -> Made<'py> {
    match std::str::from_utf8(bytes) {
        Ok(text) => object::characters(py, text),
        // Python reports what is wrong with the bytes, and applies the caller's error handler.
        Err(_) => {
            object::decode_utf8(py, bytes, errors).map_err(|raised| as_invalid_bson(py, raised))
        }
    }
}

/// Append a string as UTF-8. Nothing is kept in the string object, as `PyUnicode_AsUTF8` would.
#[inline]
pub fn append(text: &Bound<'_, PyString>, out: &mut Vec<u8>) -> Result<(), Raised> {
    let py = text.py();
    match object::characters_of(text)? {
        Characters::Ascii(bytes) => return buffer::append(py, out, bytes),
        Characters::Latin1(bytes) => {
            for &byte in bytes {
                push(py, out, byte.into())?;
            }
        }
        Characters::Wide(units) => {
            for &unit in units {
                push(py, out, char::from_u32(unit.into()).ok_or_else(|| lone_surrogate(text))?)?;
            }
        }
        Characters::Full(units) => {
            for &unit in units {
                push(py, out, char::from_u32(unit).ok_or_else(|| lone_surrogate(text))?)?;
            }
        }
    }
    Ok(())
}

#[inline]
fn push(py: Python<'_>, out: &mut Vec<u8>, c: char) -> Result<(), Raised> {
    buffer::append(py, out, c.encode_utf8(&mut [0; 4]).as_bytes())
}

/// Python's own UnicodeEncodeError.
#[cold]
fn lone_surrogate(text: &Bound<'_, PyString>) -> Raised {
    match object::encode_utf8(text) {
        Err(raised) => raised,
        Ok(_) => invalid_bson(text.py(), "a string cannot be encoded as UTF-8"),
    }
}
