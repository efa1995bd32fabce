//! DBRef: a document with `$ref` and `$id`, or the old DBPointer type (read only).

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{object_id, text};
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{Made, OrRaise, Raised};
use crate::codec::object::{self, Characters};
use crate::codec::once::name;

/// What a document's field names say about its being a DBRef.
#[inline]
pub fn marks(name: &[u8]) -> u8 {
    match name {
        b"$ref" => HAS_REF,
        b"$id" => HAS_ID,
        _ => 0,
    }
}

/// The same of a name that became ASCII only when the handler of bad UTF-8 dropped the rest.
#[cold]
pub fn marks_of_text(name: &Bound<'_, PyAny>) -> u8 {
    match object::as_text(name).map(object::characters_of) {
        Some(Ok(Characters::Ascii(name))) => marks(name),
        _ => 0,
    }
}

pub const HAS_REF: u8 = 1;
pub const HAS_ID: u8 = 2;

/// A document that has both fields is a DBRef if `$ref` and `$db` are strings; otherwise it stays as it is.
#[cold]
pub fn from_document<'py>(decoder: &Decoder<'_, 'py>, document: Bound<'py, PyAny>) -> Made<'py> {
    let py = decoder.py;
    convert(py, decoder, document).or_raise(py)
}

fn convert<'py>(
    py: Python<'py>,
    decoder: &Decoder<'_, 'py>,
    document: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (dollar_ref, dollar_id, dollar_db) =
        (name!(py, "$ref"), name!(py, "$id"), name!(py, "$db"));
    let collection = document.get_item(dollar_ref)?;
    let id = document.get_item(dollar_id)?;
    let has_database = document.contains(dollar_db)?;
    let database = if has_database { document.get_item(dollar_db)? } else { object::none(py) };
    if object::as_text(&collection).is_none()
        || !(database.is_none() || object::as_text(&database).is_some())
    {
        return Ok(document);
    }
    document.del_item(dollar_ref)?;
    document.del_item(dollar_id)?;
    if has_database {
        document.del_item(dollar_db)?;
    }
    let further =
        if document.is_exact_instance_of::<PyDict>() { document } else { plain_dict(&document)? };
    decoder
        .classes
        .db_ref
        .make(py, [collection, id, database, further], false)
        .map_err(|raised| raised.into_error(py))
}

/// A DBRef keeps its further fields in a dict, whatever the document class.
fn plain_dict<'py>(document: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = document.py();
    let fields = object::dict(py).map_err(|raised| raised.into_error(py))?;
    fields.call_method1(name!(py, "update"), (document,))?;
    Ok(fields.into_any())
}

pub fn decode_pointer<'py>(decoder: &Decoder<'_, 'py>, data: &[u8], at: &mut usize) -> Made<'py> {
    let py = decoder.py;
    let collection = text::decode(decoder, data, at)?;
    let id = object_id::decode(decoder, data, at)?;
    let (database, further) = (object::none(py), object::dict(py)?.into_any());
    decoder.classes.db_ref.make(py, [collection, id, database, further], false)
}

pub fn encode<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let class = &encoder.classes.db_ref;
    let slots =
        (class.slot(value, 0), class.slot(value, 1), class.slot(value, 2), class.slot(value, 3));
    if let (Some(collection), Some(id), Some(database), Some(further)) = slots
        && further.cast_exact::<PyDict>().is_ok_and(|fields| fields.is_empty())
    {
        return encoder.db_ref(&collection, &id, &database);
    }
    let document = value.call_method0(name!(py, "as_doc")).or_raise(py)?;
    encoder.write(0x03, &[])?;
    encoder.mapping_unchecked(&document)
}
