//! JavaScript code, with or without a scope.

use pyo3::prelude::*;

use super::field::field;
use super::text;
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{Made, Raised, invalid_bson, type_error};
use crate::codec::object;
use crate::codec::once::name;

pub fn decode<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    let code = text::decode(decoder, data, at)?;
    decoder.classes.code.of_text(&code, &object::none(decoder.py))
}

pub fn decode_with_scope<'py>(
    decoder: &mut Decoder<'_, 'py>,
    data: &[u8],
    at: &mut usize,
) -> Made<'py> {
    let py = decoder.py;
    let start = *at;
    let size = decoder.length(data, at)?;
    let inside = data
        .get(start..start + size)
        .ok_or_else(|| invalid_bson(py, "bad length of code with scope"))?;
    let mut position = *at - start;
    let code = text::decode(decoder, inside, &mut position)?;
    let scope = decoder.extent(inside, &mut position)?;
    if position != size {
        return Err(invalid_bson(py, "bad length of code with scope"));
    }
    *at = start + size;
    let scope = decoder.document(scope)?;
    decoder.classes.code.of_text(&code, &scope)
}

pub fn encode<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let known = encoder.classes.code.attribute(value);
    let scope = field(value, known, name!(py, "scope"))?;
    let Some(text) = object::as_text(value) else {
        return Err(type_error(py, "code must be a string"));
    };
    if scope.is_none() {
        encoder.write(0x0D, &[])?;
        return encoder.string(text);
    }
    encoder.write(0x0F, &[])?;
    let start = encoder.begin()?;
    encoder.string(text)?;
    encoder.mapping_unchecked(&scope)?;
    encoder.finish_at(start)
}
