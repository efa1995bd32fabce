//! Python to BSON: documents, arrays and the choice by type. Common types are told by their exact class; all
//! others take the way PyMongo goes: the type marker, then base classes, then the user's type codecs.

use pyo3::exceptions::{PyException, PyKeyError, PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyMemoryView, PyString};

use super::buffer;
use super::classes::{self, Classes};
use super::errors::{
    OrRaise, Raised, integer_too_big, invalid_document, raise_from, raise_invalid_document,
    raise_with, restored, too_big, too_long, type_error, with_document,
};
use super::imports;
use super::nesting::Nesting;
use super::object::{self, Characters};
use super::once::name;
use super::settings::{CodecSettings, RAW_DOCUMENT_MARKER};
use super::types::{binary, code, datetime, db_ref, number, object_id, regex, text};
use super::view::as_bytes;

/// Append `document` as one BSON document, `_id` first. On error `out` is as it was before.
pub fn encode_document(
    document: &Bound<'_, PyAny>,
    settings: &CodecSettings,
    check_keys: bool,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let start = out.len();
    let encoded = Encoder::new(document.py(), settings, check_keys, out).top_level(document);
    encoded.map_err(|raised| {
        out.truncate(start);
        raised.into_error(document.py())
    })
}

/// `document` as a bytes object, written into `out` first.
pub fn encode_to_bytes<'py>(
    document: &Bound<'py, PyAny>,
    settings: &CodecSettings,
    check_keys: bool,
    out: &mut Vec<u8>,
) -> PyResult<Bound<'py, PyBytes>> {
    let start = out.len();
    encode_document(document, settings, check_keys, out)?;
    let bytes = object::bytes(document.py(), &out[start..]);
    Ok(bytes.map_err(|raised| raised.into_error(document.py()))?.cast_into()?)
}

pub struct Encoder<'a, 'py> {
    pub py: Python<'py>,
    pub settings: &'a CodecSettings,
    pub classes: &'static Classes,
    pub out: &'a mut Vec<u8>,
    check_keys: bool,
    /// Where the type byte of the element being written goes: it is known after the name.
    tag_at: usize,
    depth: u32,
}

impl<'a, 'py> Encoder<'a, 'py> {
    pub fn new(
        py: Python<'py>,
        settings: &'a CodecSettings,
        check_keys: bool,
        out: &'a mut Vec<u8>,
    ) -> Self {
        Encoder { py, settings, classes: settings.classes, out, check_keys, tag_at: 0, depth: 0 }
    }

    pub fn top_level(&mut self, document: &Bound<'py, PyAny>) -> Result<(), Raised> {
        match object::as_dict(document) {
            Some(dict) => self.dict(dict, true),
            None => self.mapping(document, true),
        }
    }

    // ---- documents and arrays

    fn dict(&mut self, dict: &Bound<'py, PyDict>, top_level: bool) -> Result<(), Raised> {
        let start = self.begin()?;
        if top_level
            && let Some(id) = object::dict_get(dict, self.classes.key_id.bind(self.py).as_any())?
        {
            self.element(self.classes.key_id.bind(self.py).as_any(), &id)?;
        }
        let mut position = 0;
        while let Some((key, value)) = object::dict_next(dict, &mut position) {
            self.member(dict.as_any(), &key, &value, top_level)?;
        }
        self.finish(start)
    }

    /// Any mapping that is not a dict; also the place where it turns out not to be a mapping.
    fn mapping(&mut self, document: &Bound<'py, PyAny>, top_level: bool) -> Result<(), Raised> {
        if type_marker(document)? == Some(RAW_DOCUMENT_MARKER) {
            return self.raw(document);
        }
        if !document
            .is_instance(imports::MAPPING.get(self.py).or_raise(self.py)?)
            .or_raise(self.py)?
        {
            return Err(not_a_mapping(document));
        }
        let start = self.begin()?;
        let key_id = self.classes.key_id.bind(self.py);
        if top_level && let Some(id) = self.id_of(document)? {
            self.element(key_id.as_any(), &id)?;
        }
        for key in document.try_iter().or_raise(self.py)? {
            let key = key.or_raise(self.py)?;
            let value = document.get_item(&key).map_err(|error| lost(&key, error))?;
            self.member(document, &key, &value, top_level)?;
        }
        self.finish(start)
    }

    /// The `_id` of a mapping. As in PyMongo, any error of the look-up means that it has none; but Ctrl-C must not
    /// get lost in it.
    fn id_of(&self, document: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>, Raised> {
        match document.get_item(self.classes.key_id.bind(self.py)) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.is_instance_of::<PyException>(self.py) => Ok(None),
            Err(error) => Err(error).or_raise(self.py),
        }
    }

    /// A DBRef's document or a code's scope: PyMongo never checks the keys of these.
    pub fn mapping_unchecked(&mut self, document: &Bound<'py, PyAny>) -> Result<(), Raised> {
        self.unchecked(|it| match object::as_dict(document) {
            Some(dict) => it.dict(dict, false),
            None => it.mapping(document, false),
        })
    }

    /// A DBRef without further fields, as the document it stands for.
    pub fn db_ref(
        &mut self,
        collection: &Bound<'py, PyAny>,
        id: &Bound<'py, PyAny>,
        database: &Bound<'py, PyAny>,
    ) -> Result<(), Raised> {
        self.unchecked(|it| {
            it.write(0x03, &[])?;
            let start = it.begin()?;
            it.element(name!(it.py, "$ref").as_any(), collection)?;
            it.element(name!(it.py, "$id").as_any(), id)?;
            if !database.is_none() {
                it.element(name!(it.py, "$db").as_any(), database)?;
            }
            it.finish(start)
        })
    }

    /// One level down, where keys are not checked.
    fn unchecked(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), Raised>,
    ) -> Result<(), Raised> {
        let outer = std::mem::replace(&mut self.check_keys, false);
        let done = self.nested(ENCODING, write);
        self.check_keys = outer;
        done
    }

    /// A `RawBSONDocument`: bytes go in as they are.
    fn raw(&mut self, document: &Bound<'py, PyAny>) -> Result<(), Raised> {
        let raw = document.getattr(name!(self.py, "raw")).or_raise(self.py)?;
        if object::as_bytes(&raw).is_none() && !raw.is_instance_of::<PyMemoryView>() {
            return Err(type_error(self.py, "raw must be bytes or a memoryview"));
        }
        self.append(as_bytes(&raw).or_raise(self.py)?.as_bytes())
    }

    #[inline]
    fn member(
        &mut self,
        document: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        top_level: bool,
    ) -> Result<(), Raised> {
        if !top_level {
            return self.element(key, value);
        }
        if let Some(key) = object::as_text(key)
            && matches!(object::characters_of(key)?, Characters::Ascii(b"_id"))
        {
            return Ok(()); // already there, first
        }
        self.element(key, value).map_err(|raised| with_document(document, raised))
    }

    /// Type byte, name, value.
    fn element(
        &mut self,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> Result<(), Raised> {
        let Some(key) = object::as_text(key) else { return Err(not_a_string(key)) };
        let tag_at = self.out.len();
        self.append(&[0])?;
        text::append(key, self.out)?;
        if buffer::has_nul(&self.out[tag_at + 1..]) {
            return Err(invalid_document(self.py, "a key must not contain a NUL"));
        }
        if self.check_keys {
            self.check_key(tag_at + 1)?;
        }
        self.append(&[0])?;
        self.tag_at = tag_at;
        self.value(value)
    }

    #[cold]
    fn check_key(&self, start: usize) -> Result<(), Raised> {
        let key = String::from_utf8_lossy(&self.out[start..]);
        if key.starts_with('$') {
            return Err(invalid_document(self.py, &format!("key '{key}' must not start with '$'")));
        }
        if key.contains('.') {
            return Err(invalid_document(self.py, &format!("key '{key}' must not contain '.'")));
        }
        Ok(())
    }

    /// A list or tuple, whose item at an index `item` tells.
    #[inline]
    fn array(&mut self, item: impl Fn(usize) -> Option<Bound<'py, PyAny>>) -> Result<(), Raised> {
        self.nested(ENCODING, |it| {
            it.write(0x04, &[])?;
            let start = it.begin()?;
            let mut name = Counter::new();
            let mut index = 0;
            // Encoding an item may run Python code that changes the list, so its length is not kept.
            while let Some(item) = item(index) {
                it.tag_at = it.out.len();
                it.append(&[0])?;
                it.append(name.next())?;
                it.append(&[0])?;
                it.value(&item)?;
                index += 1;
            }
            it.finish(start)
        })
    }

    // ---- values

    #[inline]
    fn value(&mut self, value: &Bound<'py, PyAny>) -> Result<(), Raised> {
        if let Some(text) = object::as_exact_text(value) {
            self.write(0x02, &[])?;
            self.string(text)
        } else if let Some(integer) = object::as_exact_integer(value) {
            self.integer(integer)
        } else if let Some(dict) = object::as_exact_dict(value) {
            self.embedded_dict(dict)
        } else if object::is_none(value) {
            self.write(0x0A, &[])
        } else if object::is_boolean(value) {
            self.write(0x08, &[u8::from(object::is_true(value))])
        } else if let Some(float) = object::as_exact_float(value) {
            self.write(0x01, &object::float_value(float).to_le_bytes())
        } else if let Some(list) = object::as_exact_list(value) {
            self.array(|index| object::list_item(list, index))
        } else if object::is_exactly(value, &self.classes.object_id.class) {
            object_id::encode_exact(self, value)
        } else if let Some(datetime) = self.classes.exact_datetime(value) {
            datetime::encode_exact(self, datetime)
        } else if object::is_exactly(value, &self.classes.int64.class) {
            self.int64(value)
        } else {
            self.other(value, Tried::Nothing)
        }
    }

    #[inline]
    fn embedded_dict(&mut self, value: &Bound<'py, PyDict>) -> Result<(), Raised> {
        self.nested(ENCODING, |it| {
            it.write(0x03, &[])?;
            it.dict(value, false)
        })
    }

    #[inline]
    fn integer(&mut self, value: &Bound<'py, PyInt>) -> Result<(), Raised> {
        match object::integer_value(value) {
            Some(wide) => match i32::try_from(wide) {
                Ok(narrow) => self.write(0x10, &narrow.to_le_bytes()),
                Err(_) => self.write(0x12, &wide.to_le_bytes()),
            },
            None => self.custom(value.as_any(), Tried::Nothing),
        }
    }

    fn int64(&mut self, value: &Bound<'py, PyAny>) -> Result<(), Raised> {
        let wide = object::as_integer(value).and_then(object::integer_value);
        self.write(0x12, &wide.ok_or_else(|| integer_too_big(self.py))?.to_le_bytes())
    }

    /// The rarer types, subclasses, and what merely carries a type marker.
    #[inline(never)]
    fn other(&mut self, value: &Bound<'py, PyAny>, tried: Tried) -> Result<(), Raised> {
        let plain =
            object::as_exact_bytes(value).is_some() || object::as_exact_tuple(value).is_some();
        let marker = if plain { None } else { type_marker(value)? };
        match marker {
            Some(5) => binary::encode(self, value),
            Some(7) => object_id::encode(self, value),
            Some(9) => datetime::encode_milliseconds(self, value),
            Some(11) => regex::encode(self, value),
            Some(13) => code::encode(self, value),
            Some(17) => number::encode_timestamp(self, value),
            Some(18) => self.int64(value),
            Some(19) => number::encode_decimal128(self, value),
            Some(100) => db_ref::encode(self, value),
            Some(RAW_DOCUMENT_MARKER) => {
                self.write(0x03, &[])?;
                self.raw(value)
            }
            Some(127) => self.write(0x7F, &[]),
            Some(255) => self.write(0xFF, &[]),
            _ => self.by_base_class(value, tried),
        }
    }

    fn by_base_class(&mut self, value: &Bound<'py, PyAny>, tried: Tried) -> Result<(), Raised> {
        let py = self.py;
        if object::is_boolean(value)
            || object::is_none(value)
            || object::as_exact_text(value).is_some()
        {
            self.value(value) // from a type codec
        } else if let Some(integer) = object::as_integer(value) {
            match object::integer_value(integer) {
                Some(_) => self.integer(integer),
                None => self.custom(value, tried),
            }
        } else if let Some(float) = object::as_float(value) {
            self.write(0x01, &object::float_value(float).to_le_bytes())
        } else if let Some(dict) = object::as_dict(value) {
            self.embedded_dict(dict)
        } else if let Some(list) = object::as_list(value) {
            self.array(|index| object::list_item(list, index))
        } else if let Some(tuple) = object::as_tuple(value) {
            self.array(|index| object::tuple_item(tuple, index))
        } else if let Some(bytes) = object::as_bytes(value) {
            binary::encode_bytes(self, bytes)
        } else if let Some(text) = object::as_text(value) {
            self.write(0x02, &[])?;
            self.string(text)
        } else if classes::is_datetime(value) {
            datetime::encode(self, value)
        } else if value.get_type().is(imports::PATTERN.get(py).or_raise(py)?) {
            // the type itself: a stand-in that claims to be a pattern has no flags to write
            regex::encode(self, value)
        } else if value.is_instance(imports::MAPPING.get(py).or_raise(py)?).or_raise(py)? {
            self.nested(ENCODING, |it| {
                it.write(0x03, &[])?;
                it.mapping(value, false)
            })
        } else if value.is_instance(imports::UUID.get(py).or_raise(py)?).or_raise(py)? {
            binary::encode_uuid(self, value)
        } else {
            self.custom(value, tried)
        }
    }

    /// The user's type codecs: one for the exact type, then the fallback; neither is asked about its own answer.
    #[cold]
    fn custom(&mut self, value: &Bound<'py, PyAny>, tried: Tried) -> Result<(), Raised> {
        let py = self.py;
        self.nested(ENCODING, |it| {
            let encoder = match &it.settings.encoders {
                Some(encoders) if tried != Tried::Codec => {
                    encoders.bind(py).get_item(value.get_type()).or_raise(py)?
                }
                _ => None,
            };
            let (replaced, tried) = match (&encoder, &it.settings.fallback_encoder) {
                (Some(encode), _) => (encode.call1((value,)), Tried::Codec),
                (None, Some(fallback)) if tried != Tried::Fallback => {
                    (fallback.bind(py).call1((value,)), Tried::Fallback)
                }
                _ => return Err(cannot_encode(value)),
            };
            it.other(&replaced.or_raise(py)?, tried)
        })
    }

    // ---- pieces for the files in `types`

    /// Set the element's type byte and append to its value.
    #[inline(always)]
    pub fn write(&mut self, tag: u8, value: &[u8]) -> Result<(), Raised> {
        self.out[self.tag_at] = tag;
        self.append(value)
    }

    #[inline(always)]
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Raised> {
        buffer::append(self.py, self.out, bytes)
    }

    /// Length, bytes, NUL.
    #[inline]
    pub fn string(&mut self, value: &Bound<'py, PyString>) -> Result<(), Raised> {
        let start = self.begin()?;
        text::append(value, self.out)?;
        self.append(&[0])?;
        let length = i32::try_from(self.out.len() - start - 4).map_err(|_| too_long(self.py))?;
        self.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// Room for a length, to be filled in by `finish`.
    #[inline]
    pub fn begin(&mut self) -> Result<usize, Raised> {
        self.append(&[0; 4])?;
        Ok(self.out.len() - 4)
    }

    /// The terminator, and the length from `start` on.
    #[inline]
    fn finish(&mut self, start: usize) -> Result<(), Raised> {
        self.append(&[0])?;
        self.finish_at(start)
    }

    #[inline]
    pub fn finish_at(&mut self, start: usize) -> Result<(), Raised> {
        match i32::try_from(self.out.len() - start) {
            Ok(length) => {
                self.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
                Ok(())
            }
            Err(_) => Err(too_big(self.py)),
        }
    }
}

impl<'py> Nesting<'py> for Encoder<'_, 'py> {
    #[inline(always)]
    fn py(&self) -> Python<'py> {
        self.py
    }

    #[inline(always)]
    fn depth(&mut self) -> &mut u32 {
        &mut self.depth
    }
}

const ENCODING: &std::ffi::CStr = c" while encoding an object to BSON";

/// Which of the user's codecs made the value at hand.
#[derive(Clone, Copy, PartialEq)]
enum Tried {
    Nothing,
    Codec,
    Fallback,
}

/// The names of array elements: "0", "1", "2", ...
struct Counter {
    digits: [u8; 20],
    first: usize,
    started: bool,
}

impl Counter {
    fn new() -> Self {
        Counter { digits: [b'0'; 20], first: 19, started: false }
    }

    #[inline]
    fn next(&mut self) -> &[u8] {
        if std::mem::replace(&mut self.started, true) {
            let mut place = 19;
            while self.digits[place] == b'9' {
                self.digits[place] = b'0';
                place -= 1;
            }
            self.digits[place] += 1;
            self.first = self.first.min(place);
        }
        &self.digits[self.first..]
    }
}

/// PyMongo's classes say what they are by a number. An object with an eager `__getattr__` may answer anything:
/// only a plain int counts.
pub fn type_marker(value: &Bound<'_, PyAny>) -> Result<Option<i64>, Raised> {
    let py = value.py();
    let marker = match value.getattr_opt(name!(py, "_type_marker")) {
        // An attribute whose look-up fails counts as missing before 3.13, which brought an API that tells the
        // two apart.
        Err(error) if py.version_info() < (3, 13) && error.is_instance_of::<PyException>(py) => {
            None
        }
        marker => marker.or_raise(py)?,
    };
    Ok(marker.as_ref().and_then(object::as_exact_integer).and_then(object::integer_value))
}

/// A mapping that names a key it has no value for: a KeyError, whatever its own error was (but not for Ctrl-C).
#[cold]
fn lost(key: &Bound<'_, PyAny>, error: PyErr) -> Raised {
    let py = key.py();
    if !error.is_instance_of::<PyException>(py) || error.is_instance_of::<PyMemoryError>(py) {
        return restored(py, error);
    }
    match py.get_type::<PyKeyError>().call1((key,)).or_raise(py) {
        Ok(lost) => raise_from(lost, error),
        Err(raised) => raised,
    }
}

#[cold]
fn not_a_mapping(document: &Bound<'_, PyAny>) -> Raised {
    match object::text_and_repr(c"expected a mapping to encode, got: ", document) {
        Ok(told) => raise_with(document.py().get_type::<PyTypeError>().as_any(), Ok(told)),
        Err(raised) => {
            drop(raised.into_error(document.py())); // what repr() dislikes is less to the point
            type_error(document.py(), "expected a mapping to encode")
        }
    }
}

#[cold]
fn not_a_string(key: &Bound<'_, PyAny>) -> Raised {
    let told = object::text_and_repr(c"documents must have only string keys, key was ", key);
    raise_invalid_document(key.py(), told)
}

#[cold]
fn cannot_encode(value: &Bound<'_, PyAny>) -> Raised {
    if object::as_integer(value).is_some() {
        return integer_too_big(value.py());
    }
    let told =
        object::two_reprs(c"cannot encode object: ", value, c", of type: ", &value.get_type());
    raise_invalid_document(value.py(), told)
}
