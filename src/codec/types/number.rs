//! Timestamp and Decimal128: two numbers each.

use pyo3::prelude::*;

use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{Made, OrRaise, Raised, invalid_document};
use crate::codec::object;
use crate::py::imports::name;

pub fn decode_timestamp<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    let increment = object::integer(decoder.py, u32::from_le_bytes(decoder.take(data, at)?).into())?;
    let time = object::integer(decoder.py, u32::from_le_bytes(decoder.take(data, at)?).into())?;
    decoder.classes.timestamp.make(decoder.py, [time, increment], true)
}

pub fn encode_timestamp<'py>(encoder: &mut Encoder<'_, 'py>, value: &Bound<'py, PyAny>) -> Result<(), Raised> {
    let py = encoder.py;
    let part = |part: &Bound<'py, pyo3::types::PyString>| value.getattr(part)?.extract::<u32>();
    let increment = part(name!(py, "inc")).or_raise(py)?;
    let time = part(name!(py, "time")).or_raise(py)?;
    encoder.write(0x11, &[increment.to_le_bytes(), time.to_le_bytes()].concat());
    Ok(())
}

/// The 128 bits are kept as two integers; arithmetic is the decimal module's part.
pub fn decode_decimal128<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    let low = object::unsigned(decoder.py, u64::from_le_bytes(decoder.take(data, at)?))?;
    let high = object::unsigned(decoder.py, u64::from_le_bytes(decoder.take(data, at)?))?;
    decoder.classes.decimal128.make(decoder.py, [high, low], true)
}

pub fn encode_decimal128<'py>(encoder: &mut Encoder<'_, 'py>, value: &Bound<'py, PyAny>) -> Result<(), Raised> {
    let py = encoder.py;
    let bits: Vec<u8> = value.getattr(name!(py, "bid")).and_then(|bits| bits.extract()).or_raise(py)?;
    if bits.len() != 16 {
        return Err(invalid_document(py, "a Decimal128 has 16 bytes"));
    }
    encoder.write(0x13, &bits);
    Ok(())
}
