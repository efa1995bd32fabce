//! Documents of the `bson` crate from a fuzzer's choices: every element type, names that mean something to a
//! driver, a bounded depth.

use arbitrary::{Arbitrary, Result, Unstructured};
use bson::oid::ObjectId;
use bson::raw::CString;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, RawDocument, Regex,
    Timestamp,
};

pub fn document(from: &mut Unstructured<'_>, depth: u32) -> Result<Document> {
    let count = from.int_in_range(0..=8)?;
    (0..count).map(|_| Ok((name(from)?, value(from, depth)?))).collect()
}

fn name(from: &mut Unstructured<'_>) -> Result<String> {
    const TELLING: [&str; 8] =
        ["_id", "$ref", "$id", "$db", "", "0", "eight by", "a name of more than sixteen bytes"];
    match from.int_in_range(0..=11)? {
        0..8 => Ok((*from.choose(&TELLING)?).to_owned()),
        _ => text_without_nul(from),
    }
}

fn value(from: &mut Unstructured<'_>, depth: u32) -> Result<Bson> {
    let deepest = if depth == 0 { 17 } else { 20 };
    Ok(match from.int_in_range(0..=deepest)? {
        0 => Bson::Null,
        1 => Bson::Double(f64::arbitrary(from)?),
        2 => Bson::String(String::arbitrary(from)?),
        3 => Bson::Boolean(bool::arbitrary(from)?),
        4 => Bson::RegularExpression(Regex { pattern: c_string(from)?, options: c_string(from)? }),
        5 => Bson::JavaScriptCode(String::arbitrary(from)?),
        6 => Bson::Int32(i32::arbitrary(from)?),
        7 => Bson::Int64(i64::arbitrary(from)?),
        8 => Bson::Timestamp(Timestamp {
            time: u32::arbitrary(from)?,
            increment: u32::arbitrary(from)?,
        }),
        9 => Bson::Binary(Binary {
            subtype: BinarySubtype::from(u8::arbitrary(from)?),
            bytes: Vec::arbitrary(from)?,
        }),
        10 => Bson::ObjectId(ObjectId::from_bytes(<[u8; 12]>::arbitrary(from)?)),
        11 => Bson::DateTime(DateTime::from_millis(i64::arbitrary(from)?)),
        12 => Bson::Symbol(String::arbitrary(from)?),
        13 => Bson::Decimal128(Decimal128::from_bytes(<[u8; 16]>::arbitrary(from)?)),
        14 => Bson::Undefined,
        15 => Bson::MaxKey,
        16 => Bson::MinKey,
        17 => pointer(&String::arbitrary(from)?, <[u8; 12]>::arbitrary(from)?),
        18 => Bson::Document(document(from, depth - 1)?),
        19 => {
            let count = from.int_in_range(0..=12)?;
            let items: Result<Vec<Bson>> = (0..count).map(|_| value(from, depth - 1)).collect();
            Bson::Array(items?)
        }
        _ => Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
            code: String::arbitrary(from)?,
            scope: document(from, depth - 1)?,
        }),
    })
}

fn text_without_nul(from: &mut Unstructured<'_>) -> Result<String> {
    Ok(<&str>::arbitrary(from)?.replace('\0', ""))
}

fn c_string(from: &mut Unstructured<'_>) -> Result<CString> {
    Ok(text_without_nul(from)?.try_into().expect("no NUL"))
}

/// The crate makes a DBPointer from bytes only.
fn pointer(namespace: &str, id: [u8; 12]) -> Bson {
    let mut bytes = vec![0; 4];
    bytes.extend([0x0C, 0]);
    bytes.extend((namespace.len() as u32 + 1).to_le_bytes());
    bytes.extend(namespace.as_bytes());
    bytes.push(0);
    bytes.extend(id);
    bytes.push(0);
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let raw = RawDocument::from_bytes(&bytes).expect("a document");
    let mut document = Document::try_from(raw).expect("a DBPointer");
    document.remove("").expect("the one element")
}

/// And shows its parts in bytes only.
pub fn pointer_parts(pointer: Bson) -> (String, ObjectId) {
    let bytes = bson::doc! { "": pointer }.to_vec().expect("a small document");
    let (namespace, id) = bytes[10..bytes.len() - 1].split_last_chunk::<12>().expect("an id");
    let namespace = namespace.strip_suffix(&[0]).expect("a string");
    let namespace = std::str::from_utf8(namespace).expect("a string");
    (namespace.to_owned(), ObjectId::from_bytes(*id))
}
