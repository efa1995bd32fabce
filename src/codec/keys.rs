//! Field names. A result set repeats the same few names in every document, so the decoder keeps the Python
//! strings it made: a direct-mapped table for the whole process, guarded by the GIL. A hit costs no
//! allocation, and the string brings its hash along, which makes filling the dict cheaper too.

use std::cell::UnsafeCell;

use pyo3::ffi;
use pyo3::prelude::*;

use super::errors::{Made, Raised, as_invalid_bson, invalid_bson};
use super::object::{self, Ascii};
use super::settings::CodecSettings;

/// Where a field name lies: `data[start..end]`, with its NUL at `end`.
#[derive(Clone, Copy)]
pub struct Key {
    pub start: usize,
    pub end: usize,
    /// The first sixteen bytes, padded with zeros: the whole name when it is no longer than that.
    head: [u64; 2],
    hash: u64,
    ascii: bool,
}

impl Key {
    /// Find the name that starts at `start`; its NUL must come before the end of `data`.
    #[inline(always)]
    pub fn scan(py: Python<'_>, data: &[u8], start: usize) -> Result<Key, Raised> {
        let (first, length) = word_at(py, data, start)?;
        let mut key = Key {
            start,
            end: start + length,
            head: [first, 0],
            hash: first.wrapping_mul(MIX),
            ascii: first & HIGH_BITS == 0,
        };
        if length == 8 {
            key.scan_further(py, data)?;
        }
        Ok(key)
    }

    #[inline]
    fn scan_further(&mut self, py: Python<'_>, data: &[u8]) -> Result<(), Raised> {
        loop {
            let (word, length) = word_at(py, data, self.end)?;
            if self.end == self.start + 8 {
                self.head[1] = word;
            }
            self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(MIX);
            self.ascii &= word & HIGH_BITS == 0;
            self.end += length;
            if length < 8 {
                return Ok(());
            }
        }
    }

    /// Move `at` behind the name that starts at `start`, for names that do not matter.
    #[inline]
    pub fn skip(py: Python<'_>, data: &[u8], start: usize, at: &mut usize) -> Result<(), Raised> {
        let mut end = start;
        loop {
            let (_, length) = word_at(py, data, end)?;
            end += length;
            if length < 8 {
                *at = end + 1;
                return Ok(());
            }
        }
    }

    #[inline]
    pub fn bytes<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        &data[self.start..self.end]
    }

    #[inline(always)]
    pub fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// A name beyond ASCII, which may be bad UTF-8.
    #[cold]
    pub fn wide_name<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
        settings: &CodecSettings,
    ) -> Made<'py> {
        object::decode_utf8(py, self.bytes(data), settings.unicode_errors())
            .map_err(|raised| as_invalid_bson(py, raised))
    }

    /// An ASCII name as a Python string; `nth` is its place in the document.
    #[inline(always)]
    pub fn name<'py>(&self, py: Python<'py>, data: &[u8], nth: usize) -> Made<'py> {
        let bytes = self.bytes(data);
        if nth > MOST || bytes.len() > LONGEST {
            return self.fresh(py, bytes);
        }
        // SAFETY: the GIL is held from the look at the entry to the new reference; entries hold an ASCII str or
        // are empty.
        unsafe {
            let entry = self.entry();
            // Word by word: a wide load of the two words just stored would wait for both stores.
            if (*entry).head[0] == self.head[0]
                && (*entry).length == bytes.len()
                && (bytes.len() <= 8
                    || (*entry).head[1] == self.head[1]
                        && (bytes.len() <= 16 || (*entry).tail_is(bytes)))
            {
                return Ok(Bound::from_borrowed_ptr(py, (*entry).text));
            }
        }
        self.new_name(py, bytes)
    }

    /// Makes the string and keeps it in the place of another one.
    #[inline(never)]
    fn new_name<'py>(&self, py: Python<'py>, bytes: &[u8]) -> Made<'py> {
        let text = self.fresh(py, bytes)?;
        // SAFETY: the GIL is held throughout, and no Python code can run (dropping the old string runs none).
        unsafe {
            ffi::PyObject_Hash(text.as_ptr()); // kept in the string from here on
            let old = std::mem::replace(
                &mut *self.entry(),
                Entry { head: self.head, length: bytes.len(), text: text.clone().into_ptr() },
            );
            ffi::Py_XDECREF(old.text);
        }
        Ok(text)
    }

    fn fresh<'py>(&self, py: Python<'py>, bytes: &[u8]) -> Made<'py> {
        match Ascii::of(bytes) {
            Some(bytes) => object::ascii(py, bytes),
            None => Err(invalid_bson(py, "a field name changed while it was decoded")),
        }
    }

    #[inline(always)]
    fn entry(&self) -> *mut Entry {
        let place = (self.hash >> (64 - TABLE_BITS)) as usize;
        // SAFETY: the hash's upper bits are a place within the table.
        unsafe { TABLE.0.get().cast::<Entry>().add(place) }
    }
}

/// The next eight bytes of a name, cut at its NUL and padded with zeros, and how many there are.
#[inline(always)]
fn word_at(py: Python<'_>, data: &[u8], at: usize) -> Result<(u64, usize), Raised> {
    let word = match data.get(at..at + 8) {
        Some(bytes) => u64::from_le_bytes(bytes.try_into().expect("eight bytes")),
        None => last_word(py, data, at)?,
    };
    // The classic test for a zero byte; the lowest set bit marks the first one.
    let zeros = word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS;
    if zeros == 0 {
        return Ok((word, 8));
    }
    // All bits below the mark, less those of the zero byte itself.
    Ok((word & ((zeros & zeros.wrapping_neg()) - 1) >> 7, (zeros.trailing_zeros() / 8) as usize))
}

/// The word that begins less than eight bytes before the end of `data`; the name must end there.
fn last_word(py: Python<'_>, data: &[u8], at: usize) -> Result<u64, Raised> {
    let tail = data.get(at..).unwrap_or_default();
    let length = tail
        .iter()
        .position(|byte| *byte == 0)
        .ok_or_else(|| invalid_bson(py, "a field name does not end"))?;
    Ok(tail[..length].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

#[derive(Clone, Copy)]
struct Entry {
    head: [u64; 2],
    /// `usize::MAX` while empty: no name has that length.
    length: usize,
    text: *mut ffi::PyObject,
}

impl Entry {
    /// # Safety
    /// The entry is filled, and `bytes` has its length.
    unsafe fn tail_is(&self, bytes: &[u8]) -> bool {
        // SAFETY: the caller's promise; the string is ASCII, so its data are `length` bytes.
        unsafe {
            std::slice::from_raw_parts(ffi::PyUnicode_1BYTE_DATA(self.text), self.length) == bytes
        }
    }
}

struct Table(UnsafeCell<[Entry; 1 << TABLE_BITS]>);

// SAFETY: touched only in `Key::name` and `new_name`, by whoever holds the GIL (the module declares that it needs one).
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new(
    [Entry { head: [0; 2], length: usize::MAX, text: std::ptr::null_mut() }; 1 << TABLE_BITS],
));

const TABLE_BITS: u32 = 12;
/// A document with more fields uses them as data: its names would push out those that repeat.
const MOST: usize = 500;
/// Longer names are rare, and often data too.
const LONGEST: usize = 64;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
