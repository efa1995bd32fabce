//! BSON to Python: documents, arrays and the choice by type byte. Every length is checked against the document
//! around it before use, so malformed bytes raise `InvalidBSON` and nothing is read outside the slice.

use pyo3::prelude::*;

use super::classes::Classes;
use super::errors::{Made, OrRaise, Raised, as_invalid_bson, invalid_bson};
use super::keys::Key;
use super::nesting::Nesting;
use super::object::{self, CollectorPause};
use super::raw::raw_document;
use super::settings::{CodecSettings, DocumentClass};
use super::types::{binary, code, datetime, db_ref, number, object_id, regex, text};

/// One complete BSON document to an object of the document class.
pub fn decode_document<'py>(
    py: Python<'py>,
    bytes: &[u8],
    settings: &CodecSettings,
) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder::new(py, settings);
    let _pause = decoder.pause_if_large(bytes);
    decoder.top_level(bytes).map_err(|raised| raised.into_error(py))
}

pub struct Decoder<'a, 'py> {
    pub py: Python<'py>,
    pub settings: &'a CodecSettings,
    pub classes: &'static Classes,
    /// Items of the arrays being read, innermost last: a list is made when its length is known.
    items: Vec<Bound<'py, PyAny>>,
    depth: u32,
}

impl<'a, 'py> Decoder<'a, 'py> {
    pub fn new(py: Python<'py>, settings: &'a CodecSettings) -> Self {
        Decoder { py, settings, classes: settings.classes, items: Vec::new(), depth: 0 }
    }

    /// Holds the collector off for a document of so many objects that it would look at them many times.
    pub fn pause_if_large(&self, document: &[u8]) -> Option<CollectorPause<'py>> {
        let said = document.first_chunk().map_or(0, |length| i32::from_le_bytes(*length));
        (said > LARGE && self.settings.is_plain()).then(|| CollectorPause::begin(self.py))
    }

    fn top_level(&mut self, bytes: &[u8]) -> Made<'py> {
        let whole = self.sole(bytes)?;
        self.document(whole)
    }

    /// `bytes`, once it is sure that they are one document and nothing else.
    pub fn sole<'b>(&self, bytes: &'b [u8]) -> Result<&'b [u8], Raised> {
        let mut at = 0;
        if bytes.len() < SMALLEST {
            return Err(invalid_bson(self.py, "not enough data for a BSON document"));
        }
        let whole = self.extent(bytes, &mut at)?;
        if at != bytes.len() {
            return Err(invalid_bson(self.py, "the document's length is not that of the data"));
        }
        Ok(whole)
    }

    /// The bytes of the document or array at `at`: length prefix, elements, terminator. Moves `at` behind it.
    #[inline]
    pub fn extent<'b>(&self, data: &'b [u8], at: &mut usize) -> Result<&'b [u8], Raised> {
        let start = *at;
        let size = self.length(data, at)?;
        match data.get(start..start + size) {
            Some(whole) if size >= SMALLEST && whole[size - 1] == 0 => {
                *at = start + size;
                Ok(whole)
            }
            _ => Err(invalid_bson(self.py, "bad length or end of a document")),
        }
    }

    /// A document as an object of the document class, never as a DBRef.
    pub fn document(&mut self, whole: &[u8]) -> Made<'py> {
        match &self.settings.document_class {
            DocumentClass::Dict => Ok(self.dict(whole)?.0),
            DocumentClass::Raw(class) => self.raw(class, whole),
            DocumentClass::Mapping(class) => Ok(self.mapping(class, whole)?.0),
        }
    }

    /// A document inside another one: it may be a DBRef.
    #[inline]
    pub fn embedded(&mut self, data: &[u8], at: &mut usize) -> Made<'py> {
        let whole = self.extent(data, at)?;
        let (document, fields) = match &self.settings.document_class {
            DocumentClass::Dict => self.dict(whole)?,
            DocumentClass::Raw(class) => return self.raw(class, whole),
            DocumentClass::Mapping(class) => self.mapping(class, whole)?,
        };
        if fields == (db_ref::HAS_REF | db_ref::HAS_ID) {
            return db_ref::from_document(self, document);
        }
        Ok(document)
    }

    fn raw(&self, class: &Py<PyAny>, whole: &[u8]) -> Made<'py> {
        raw_document(class, &object::bytes(self.py, whole)?, self.settings)
    }

    fn dict(&mut self, whole: &[u8]) -> Result<(Bound<'py, PyAny>, u8), Raised> {
        self.nested(DECODING_DOCUMENT, |it| {
            let dict = object::dict(it.py)?;
            let fields = it.members(whole, |name, value| object::dict_set(&dict, name, value))?;
            Ok((dict.into_any(), fields))
        })
    }

    fn mapping(
        &mut self,
        class: &Py<PyAny>,
        whole: &[u8],
    ) -> Result<(Bound<'py, PyAny>, u8), Raised> {
        self.nested(DECODING_DOCUMENT, |it| {
            let document = class.bind(it.py).call0().or_raise(it.py)?;
            let fields =
                it.members(whole, |name, value| object::set_item(&document, name, value))?;
            Ok((document, fields))
        })
    }

    /// Gives each element's name and value to `set`. Returns the marks of a DBRef that the names have.
    #[inline(always)]
    fn members(
        &mut self,
        whole: &[u8],
        set: impl Fn(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> Result<(), Raised>,
    ) -> Result<u8, Raised> {
        let data = &whole[..whole.len() - 1];
        let (mut at, mut fields, mut count) = (4, 0, 0);
        while at < data.len() {
            let (name, value) = self.member(data, &mut at, count, &mut fields)?;
            count += 1;
            set(&name, &value)?;
        }
        Ok(fields)
    }

    /// Name and value of the `nth` element, which begins at `at`; `fields` gathers the marks of a DBRef.
    #[inline(always)]
    fn member(
        &mut self,
        data: &[u8],
        at: &mut usize,
        nth: usize,
        fields: &mut u8,
    ) -> Result<(Bound<'py, PyAny>, Bound<'py, PyAny>), Raised> {
        let element = *at;
        let key = Key::scan(self.py, data, element + 1)?;
        *at = key.end + 1;
        // The name comes first: when it is as bad as its value, its error is the one to raise.
        let name = if key.is_ascii() {
            *fields |= db_ref::marks(key.bytes(data));
            key.name(self.py, data, nth)?
        } else {
            let name = key.wide_name(self.py, data, self.settings)?;
            *fields |= db_ref::marks_of_text(&name);
            name
        };
        Ok((name, self.value(element, data, at)?))
    }

    fn array(&mut self, data: &[u8], at: &mut usize) -> Made<'py> {
        let whole = self.extent(data, at)?;
        self.nested(DECODING_ARRAY, |it| {
            let base = it.items.len();
            let data = &whole[..whole.len() - 1];
            let mut at = 4;
            while at < data.len() {
                // The names of array elements count up; only their ends matter.
                let element = at;
                match Key::skip(it.py, data, element + 1, &mut at)
                    .and_then(|()| it.value(element, data, &mut at))
                    .and_then(|value| object::push(it.py, &mut it.items, value))
                {
                    Ok(()) => {}
                    Err(raised) => {
                        it.items.truncate(base);
                        return Err(raised);
                    }
                }
            }
            object::list(it.py, &mut it.items, base)
        })
    }

    /// The value at `at`, whose element (type byte, name) begins at `element`.
    pub fn value(&mut self, element: usize, data: &[u8], at: &mut usize) -> Made<'py> {
        let value = match data[element] {
            0x02 | 0x0E => text::decode(self, data, at),
            0x10 => object::integer(self.py, i32::from_le_bytes(self.take(data, at)?).into()),
            0x0A | 0x06 => Ok(object::none(self.py)),
            0x08 => self.boolean(data, at),
            0x03 => self.embedded(data, at).map_err(|raised| as_invalid_bson(self.py, raised)),
            0x04 => self.array(data, at).map_err(|raised| as_invalid_bson(self.py, raised)),
            0x07 => object_id::decode(self, data, at),
            0x01 => object::float(self.py, f64::from_le_bytes(self.take(data, at)?)),
            0x12 => self.classes.int64.make(self.py, i64::from_le_bytes(self.take(data, at)?)),
            0x09 => datetime::decode(self, i64::from_le_bytes(self.take(data, at)?)),
            _ => self.rare_value(element, data, at),
        }?;
        match &self.settings.decoders {
            None => Ok(value),
            Some(decoders) => self.custom(decoders.bind(self.py), value),
        }
    }

    #[inline(never)]
    fn rare_value(&mut self, element: usize, data: &[u8], at: &mut usize) -> Made<'py> {
        match data[element] {
            0x05 => binary::decode(self, data, at),
            0x0B => regex::decode(self, data, at),
            0x0C => db_ref::decode_pointer(self, data, at),
            0x0D => code::decode(self, data, at),
            0x0F => code::decode_with_scope(self, data, at)
                .map_err(|raised| as_invalid_bson(self.py, raised)),
            0x11 => number::decode_timestamp(self, data, at),
            0x13 => number::decode_decimal128(self, data, at),
            0xFF => self.classes.min_key.bind(self.py).call0().or_raise(self.py),
            0x7F => self.classes.max_key.bind(self.py).call0().or_raise(self.py),
            unknown => {
                let field = String::from_utf8_lossy(&data[element + 1..*at - 1]);
                let message = format!(
                    "unknown BSON type 0x{unknown:02x} in field '{field}'; is this driver recent enough?"
                );
                Err(invalid_bson(self.py, &message))
            }
        }
    }

    fn boolean(&self, data: &[u8], at: &mut usize) -> Made<'py> {
        match self.take(data, at)? {
            [0] => Ok(object::boolean(self.py, false)),
            [1] => Ok(object::boolean(self.py, true)),
            [other] => Err(invalid_bson(self.py, &format!("invalid boolean value: {other:x}"))),
        }
    }

    /// A type codec of the user's, chosen by the exact type of what was decoded.
    #[cold]
    fn custom(
        &self,
        decoders: &Bound<'py, pyo3::types::PyDict>,
        value: Bound<'py, PyAny>,
    ) -> Made<'py> {
        match decoders.get_item(value.get_type()).or_raise(self.py)? {
            Some(decode) => decode.call1((value,)).or_raise(self.py),
            None => Ok(value),
        }
    }

    // ---- pieces for the files in `types`

    #[inline]
    pub fn take<const N: usize>(&self, data: &[u8], at: &mut usize) -> Result<[u8; N], Raised> {
        match data.get(*at..*at + N) {
            Some(bytes) => {
                *at += N;
                Ok(bytes.try_into().expect("N bytes"))
            }
            None => Err(self.cut_short()),
        }
    }

    #[inline]
    pub fn take_slice<'b>(
        &self,
        data: &'b [u8],
        at: &mut usize,
        length: usize,
    ) -> Result<&'b [u8], Raised> {
        match data.get(*at..*at + length) {
            Some(bytes) => {
                *at += length;
                Ok(bytes)
            }
            None => Err(self.cut_short()),
        }
    }

    /// A length prefix: an int32 that must not be negative.
    #[inline]
    pub fn length(&self, data: &[u8], at: &mut usize) -> Result<usize, Raised> {
        let length = i32::from_le_bytes(self.take(data, at)?);
        usize::try_from(length).map_err(|_| invalid_bson(self.py, "negative length"))
    }

    #[cold]
    fn cut_short(&self) -> Raised {
        invalid_bson(self.py, "a value ends after its document")
    }
}

impl<'py> Nesting<'py> for Decoder<'_, 'py> {
    #[inline(always)]
    fn py(&self) -> Python<'py> {
        self.py
    }

    #[inline(always)]
    fn depth(&mut self) -> &mut u32 {
        &mut self.depth
    }
}

/// Length, no elements, terminator.
const SMALLEST: usize = 5;
const LARGE: i32 = 16 * 1024;
const DECODING_DOCUMENT: &std::ffi::CStr = c" while decoding a BSON document";
const DECODING_ARRAY: &std::ffi::CStr = c" while decoding a BSON array";
