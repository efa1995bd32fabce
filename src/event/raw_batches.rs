//! How listeners see the reply of a cursor of raw batches: with its batch as one binary value, as PyMongo has it.

use bson::raw::RawArrayBuf;
use bson::spec::BinarySubtype;
use bson::{RawArray, RawBinaryRef, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

pub fn shown(reply: &RawDocument) -> bson::error::Result<RawDocumentBuf> {
    replaced(reply, |key, value| match value {
        RawBsonRef::Document(cursor) if key == "cursor" => {
            Ok(RawBson::Document(replaced(cursor, |key, value| match value {
                RawBsonRef::Array(batch) if matches!(key, "firstBatch" | "nextBatch") => {
                    one_value(batch).map(RawBson::Array)
                }
                other => Ok(other.into()),
            })?))
        }
        other => Ok(other.into()),
    })
}

fn replaced<'a>(
    document: &'a RawDocument,
    by: impl Fn(&str, RawBsonRef<'a>) -> bson::error::Result<RawBson>,
) -> bson::error::Result<RawDocumentBuf> {
    let mut made = RawDocumentBuf::new();
    for element in document {
        let (key, value) = element?;
        made.append(key, by(key.as_str(), value)?);
    }
    Ok(made)
}

/// All documents, end to end; nothing if there are none.
fn one_value(batch: &RawArray) -> bson::error::Result<RawArrayBuf> {
    let mut bytes = Vec::with_capacity(batch.as_bytes().len());
    for document in batch {
        if let RawBsonRef::Document(document) = document? {
            bytes.extend_from_slice(document.as_bytes());
        }
    }
    let mut made = RawArrayBuf::new();
    if !bytes.is_empty() {
        made.push(RawBinaryRef { subtype: BinarySubtype::Generic, bytes: &bytes });
    }
    Ok(made)
}
