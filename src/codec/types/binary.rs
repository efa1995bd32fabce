//! Binary data of every subtype, and UUIDs, which are binary data with a choice of byte orders.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::field::integer;
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{
    Made, OrRaise, Raised, invalid_bson, too_long, type_error, value_error,
};
use crate::codec::object;
use crate::codec::once::name;

pub fn decode<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    let py = decoder.py;
    let length = decoder.length(data, at)?;
    let [subtype] = decoder.take(data, at)?;
    let mut contents = decoder.take_slice(data, at, length)?;
    if subtype == OLD_BINARY {
        // The old generic subtype repeats its length inside.
        let inner = decoder.length(contents, &mut 0)?;
        if inner + 4 != length {
            return Err(invalid_bson(py, "the two lengths of an old binary differ"));
        }
        contents = &contents[4..];
    }
    if subtype == 0 {
        return object::bytes(py, contents);
    }
    if is_uuid(subtype, decoder.settings.uuid_representation) {
        return decode_uuid(decoder, contents);
    }
    let subtype = object::integer(py, subtype.into())?;
    decoder.classes.binary.of_bytes(&object::bytes(py, contents)?, &subtype)
}

/// The new subtype holds a UUID under STANDARD only, the old one under the legacy representations only.
fn is_uuid(subtype: u8, representation: u8) -> bool {
    match subtype {
        OLD_UUID => matches!(representation, PYTHON_LEGACY | JAVA_LEGACY | CSHARP_LEGACY),
        STANDARD => representation == STANDARD,
        _ => false,
    }
}

fn decode_uuid<'py>(decoder: &Decoder<'_, 'py>, contents: &[u8]) -> Made<'py> {
    let py = decoder.py;
    let bytes = contents.try_into().map_err(|_| invalid_bson(py, "a UUID has 16 bytes"))?;
    let value = u128::from_be_bytes(reorder(bytes, decoder.settings.uuid_representation));
    let value = object::wide_unsigned(py, value)?;
    let safety = decoder.classes.uuid_unknown_safety.bind(py).clone();
    decoder.classes.uuid.make(py, [value, safety], true)
}

/// Between the order of RFC 4122 and that of a representation; each is its own inverse.
fn reorder(mut bytes: [u8; 16], representation: u8) -> [u8; 16] {
    match representation {
        JAVA_LEGACY => {
            bytes[..8].reverse();
            bytes[8..].reverse();
        }
        CSHARP_LEGACY => {
            bytes[..4].reverse();
            bytes[4..6].reverse();
            bytes[6..8].reverse();
        }
        _ => {}
    }
    bytes
}

pub fn encode<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let known = encoder.classes.binary.attribute(value);
    let subtype: i64 = integer(value, known, name!(py, "subtype"))?;
    let Some(contents) = object::as_bytes(value) else {
        return Err(type_error(py, "binary data must be bytes"));
    };
    let subtype = u8::try_from(subtype).map_err(PyErr::from).or_raise(py)?;
    write(encoder, subtype, object::bytes_value(contents))
}

/// Plain bytes are the generic subtype.
pub fn encode_bytes<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyBytes>,
) -> Result<(), Raised> {
    write(encoder, 0, object::bytes_value(value))
}

fn write(encoder: &mut Encoder<'_, '_>, subtype: u8, contents: &[u8]) -> Result<(), Raised> {
    let extra = if subtype == OLD_BINARY { 4 } else { 0 };
    let length = i32::try_from(contents.len() + extra).map_err(|_| too_long(encoder.py))?;
    encoder.write(0x05, &length.to_le_bytes())?;
    encoder.append(&[subtype])?;
    if subtype == OLD_BINARY {
        encoder.append(&(length - 4).to_le_bytes())?;
    }
    encoder.append(contents)
}

pub fn encode_uuid<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let representation = encoder.settings.uuid_representation;
    let subtype = match representation {
        STANDARD => STANDARD,
        PYTHON_LEGACY | JAVA_LEGACY | CSHARP_LEGACY => OLD_UUID,
        _ => {
            return Err(value_error(
                py,
                "cannot encode a native UUID while uuid_representation is UNSPECIFIED: \
                 choose another representation, or wrap the value with bson.Binary.from_uuid",
            ));
        }
    };
    let number: u128 = integer(value, encoder.classes.uuid.slot(value, 0), name!(py, "int"))?;
    write(encoder, subtype, &reorder(number.to_be_bytes(), representation))
}

const OLD_BINARY: u8 = 2;
/// Also the number of `UuidRepresentation.PYTHON_LEGACY`.
const OLD_UUID: u8 = 3;
const PYTHON_LEGACY: u8 = 3;
/// Both the subtype and the number of `UuidRepresentation.STANDARD`.
const STANDARD: u8 = 4;
const JAVA_LEGACY: u8 = 5;
const CSHARP_LEGACY: u8 = 6;
