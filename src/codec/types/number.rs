//! Timestamp and Decimal128: two numbers each.

use pyo3::prelude::*;

use super::field::integer;
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{Made, OrRaise, Raised, invalid_document};
use crate::codec::object;
use crate::codec::once::name;

pub fn decode_timestamp<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    let increment =
        object::integer(decoder.py, u32::from_le_bytes(decoder.take(data, at)?).into())?;
    let time = object::integer(decoder.py, u32::from_le_bytes(decoder.take(data, at)?).into())?;
    decoder.classes.timestamp.make(decoder.py, [time, increment], true)
}

pub fn encode_timestamp<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let slot = |index| encoder.classes.timestamp.slot(value, index);
    let increment: u32 = integer(value, slot(1), name!(py, "inc"))?;
    let time: u32 = integer(value, slot(0), name!(py, "time"))?;
    encoder.write(0x11, &increment.to_le_bytes())?;
    encoder.append(&time.to_le_bytes())
}

/// The 128 bits are kept as two integers; arithmetic is the decimal module's part.
pub fn decode_decimal128<'py>(
    decoder: &Decoder<'_, 'py>,
    data: &[u8],
    at: &mut usize,
) -> Made<'py> {
    let low = object::unsigned(decoder.py, u64::from_le_bytes(decoder.take(data, at)?))?;
    let high = object::unsigned(decoder.py, u64::from_le_bytes(decoder.take(data, at)?))?;
    decoder.classes.decimal128.make(decoder.py, [high, low], true)
}

pub fn encode_decimal128<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let slot = |index| encoder.classes.decimal128.slot(value, index)?.extract::<u64>().ok();
    if let (Some(high), Some(low)) = (slot(0), slot(1)) {
        return encoder.write(0x13, &(u128::from(high) << 64 | u128::from(low)).to_le_bytes());
    }
    let bits = value.getattr(name!(py, "bid")).or_raise(py)?;
    let bits: &[u8] = bits.extract().map_err(PyErr::from).or_raise(py)?;
    if bits.len() != 16 {
        return Err(invalid_document(py, "a Decimal128 has 16 bytes"));
    }
    encoder.write(0x13, bits)
}
