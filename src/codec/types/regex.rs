//! Regular expressions: pattern and option letters, two C strings.

use pyo3::prelude::*;

use super::field::{field, integer};
use super::text;
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{Made, OrRaise, Raised, invalid_bson, invalid_document, raise};
use crate::codec::imports;
use crate::codec::object;
use crate::codec::once::name;

pub fn decode<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    let py = decoder.py;
    let errors = decoder.settings.unicode_errors();
    let pattern = text::make(py, c_string(decoder, data, at)?, errors)?;
    let letters = c_string(decoder, data, at)?;
    text::make(py, letters, errors)?; // as text they must be valid, unknown letters are skipped
    let flags =
        FLAGS.iter().filter(|(letter, _)| letters.contains(letter)).map(|(_, flag)| flag).sum();
    decoder.classes.regex.make(py, [pattern, object::integer(py, flags)?], false)
}

fn c_string<'b>(
    decoder: &Decoder<'_, '_>,
    data: &'b [u8],
    at: &mut usize,
) -> Result<&'b [u8], Raised> {
    let rest = data.get(*at..).unwrap_or_default();
    let Some(length) = rest.iter().position(|byte| *byte == 0) else {
        return Err(invalid_bson(decoder.py, "a regular expression does not end"));
    };
    *at += length + 1;
    Ok(&rest[..length])
}

/// A `bson.Regex` or a compiled pattern: both have `pattern` and `flags`.
pub fn encode<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let slot = |index| encoder.classes.regex.slot(value, index);
    let flags: i64 = integer(value, slot(1), name!(py, "flags"))?;
    let pattern = field(value, slot(0), name!(py, "pattern"))?;
    encoder.write(0x0B, &[])?;
    let start = encoder.out.len();
    if let Some(pattern) = object::as_text(&pattern) {
        text::append(pattern, encoder.out)?;
    } else {
        let bytes: &[u8] = pattern.extract().map_err(PyErr::from).or_raise(py)?;
        encoder.append(bytes)?;
    }
    let written = &encoder.out[start..];
    if written.contains(&0) {
        return Err(invalid_document(py, "a regular expression must not contain a NUL"));
    }
    if std::str::from_utf8(written).is_err() {
        return Err(raise(
            py,
            &imports::INVALID_STRING_DATA,
            "a regular expression must be valid UTF-8",
        ));
    }
    encoder.append(&[0])?;
    for (letter, _) in FLAGS.iter().filter(|(_, flag)| flags & flag != 0) {
        encoder.append(&[*letter])?;
    }
    encoder.append(&[0])
}

/// BSON's letters, in the alphabetical order it asks for, and Python's flags.
const FLAGS: [(u8, i64); 6] = [(b'i', 2), (b'l', 4), (b'm', 8), (b's', 16), (b'u', 32), (b'x', 64)];
