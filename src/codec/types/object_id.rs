//! ObjectId: twelve bytes, which PyMongo's class keeps as a bytes object in its one slot.

use pyo3::prelude::*;

use crate::codec::classes::Classes;
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{Made, OrRaise, Raised, invalid_document};
use crate::codec::object;
use crate::codec::once::name;

#[inline]
pub fn decode<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    from_bytes(decoder.py, decoder.classes, decoder.take(data, at)?)
}

#[inline]
pub fn from_bytes<'py>(py: Python<'py>, classes: &Classes, id: [u8; 12]) -> Made<'py> {
    classes.object_id.make(py, [object::bytes(py, &id)?], true)
}

#[inline]
pub fn encode_exact<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let slot = encoder.classes.object_id.slot(value, 0);
    match slot.as_ref().and_then(object::as_exact_bytes).map(object::bytes_value) {
        Some(id) if id.len() == 12 => encoder.write(0x07, id),
        _ => encode(encoder, value),
    }
}

/// Any class with an ObjectId's type marker.
#[cold]
pub fn encode<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let id = value.getattr(name!(py, "binary")).or_raise(py)?;
    let id: &[u8] = id.extract().map_err(PyErr::from).or_raise(py)?;
    if id.len() != 12 {
        return Err(invalid_document(py, "an ObjectId has 12 bytes"));
    }
    encoder.write(0x07, id)
}
