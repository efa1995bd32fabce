//! Appending BSON elements to a document that is still open (no length, no terminator yet), and finding one in a
//! document.

use std::ops::Range;

use bson::{RawArray, RawDocument, Timestamp, Uuid};

pub fn boolean(out: &mut Vec<u8>, key: &str, value: bool) {
    head(out, 0x08, key);
    out.push(value.into());
}

pub fn int32(out: &mut Vec<u8>, key: &str, value: i32) {
    head(out, 0x10, key);
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn int64(out: &mut Vec<u8>, key: &str, value: i64) {
    head(out, 0x12, key);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Milliseconds since 1970.
pub fn date(out: &mut Vec<u8>, key: &str, value: i64) {
    head(out, 0x09, key);
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn string(out: &mut Vec<u8>, key: &str, value: &str) {
    head(out, 0x02, key);
    let length = i32::try_from(value.len() + 1).expect("names and messages are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(0);
}

pub fn timestamp(out: &mut Vec<u8>, key: &str, value: Timestamp) {
    head(out, 0x11, key);
    out.extend_from_slice(&value.increment.to_le_bytes());
    out.extend_from_slice(&value.time.to_le_bytes());
}

pub fn uuid(out: &mut Vec<u8>, key: &str, value: Uuid) {
    binary_of(out, key, 4, &value.bytes());
}

pub fn binary(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    binary_of(out, key, 0, value);
}

/// An array with one document for each item, filled by `fill`.
pub fn array_of_documents<T>(
    out: &mut Vec<u8>,
    key: &str,
    items: &[T],
    fill: impl Fn(&T, &mut Vec<u8>),
) {
    head(out, 0x04, key);
    open_document(out, |out| {
        for (index, item) in items.iter().enumerate() {
            nested(out, &index.to_string(), |out| fill(item, out));
        }
    });
}

pub fn array_of_int64(out: &mut Vec<u8>, key: &str, items: &[i64]) {
    head(out, 0x04, key);
    open_document(out, |out| {
        for (index, item) in items.iter().enumerate() {
            int64(out, &index.to_string(), *item);
        }
    });
}

pub fn array_of_strings(out: &mut Vec<u8>, key: &str, items: &[&str]) {
    head(out, 0x04, key);
    open_document(out, |out| {
        for (index, item) in items.iter().enumerate() {
            string(out, &index.to_string(), item);
        }
    });
}

pub fn document(out: &mut Vec<u8>, key: &str, value: &RawDocument) {
    head(out, 0x03, key);
    out.extend_from_slice(value.as_bytes());
}

pub fn array(out: &mut Vec<u8>, key: &str, value: &RawArray) {
    head(out, 0x04, key);
    out.extend_from_slice(value.as_bytes());
}

/// The elements of a document, not the document itself.
pub fn all_of(out: &mut Vec<u8>, document: &RawDocument) {
    let bytes = document.as_bytes();
    out.extend_from_slice(&bytes[4..bytes.len() - 1]);
}

/// A subdocument whose elements `fill` appends.
pub fn nested(out: &mut Vec<u8>, key: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    head(out, 0x03, key);
    open_document(out, fill);
}

/// A whole document around what `fill` appends.
pub fn open_document(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    out.push(0);
    let length = i32::try_from(out.len() - start).expect("documents are checked against 48 MB");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Where the first such element of the document stands: its type, its name with an end, its value.
pub fn find(document: &RawDocument, wanted: impl Fn(&str) -> bool) -> Option<Range<usize>> {
    let mut at = 4;
    for element in document.iter_elements() {
        let element = element.ok()?;
        let key = element.key().as_str();
        let end = at + 1 + key.len() + 1 + element.size();
        if wanted(key) {
            return Some(at..end);
        }
        at = end;
    }
    None
}

fn binary_of(out: &mut Vec<u8>, key: &str, subtype: u8, value: &[u8]) {
    head(out, 0x05, key);
    let length = i32::try_from(value.len()).expect("ids and payloads are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.push(subtype);
    out.extend_from_slice(value);
}

fn head(out: &mut Vec<u8>, kind: u8, key: &str) {
    out.push(kind);
    out.extend_from_slice(key.as_bytes());
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_read_back_as_written() {
        let inner = bson::rawdoc! { "x": 1 };
        let mut bytes = Vec::new();
        open_document(&mut bytes, |out| {
            boolean(out, "b", true);
            int32(out, "i", -5);
            int64(out, "l", 1 << 40);
            date(out, "w", -7);
            string(out, "s", "héllo");
            timestamp(out, "t", Timestamp { time: 7, increment: 3 });
            document(out, "d", &inner);
            nested(out, "n", |out| string(out, "k", ""));
            binary(out, "p", b"ab");
        });
        let read = RawDocument::from_bytes(&bytes).unwrap();
        let expected = bson::rawdoc! {
            "b": true, "i": -5, "l": 1_i64 << 40,
            "w": bson::DateTime::from_millis(-7), "s": "héllo",
            "t": Timestamp { time: 7, increment: 3 }, "d": { "x": 1 }, "n": { "k": "" },
            "p": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: b"ab".to_vec() },
        };
        assert_eq!(read.as_bytes(), expected.as_bytes());
    }
}
