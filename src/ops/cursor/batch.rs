//! The batch of documents in a cursor's reply, found without looking into a document. A reply of
//! listDatabases is one too: a single batch, for which the server opens no cursor.

use std::ops::Range;

use bson::{RawBsonRef, RawDocument};

use crate::error::{Error, Result};
use crate::wire::reply::{Reply, integer};

pub struct Batch {
    reply: Reply,
    /// The BSON array of documents, within the reply's body.
    documents: Range<usize>,
    pub count: usize,
    /// 0 once the server has no more.
    pub cursor_id: i64,
    /// "database.collection" as the server names it, if it does.
    pub namespace: Option<String>,
}

impl Batch {
    pub fn of(reply: Reply) -> Result<Batch> {
        let malformed = |what: &str| Error::protocol(format!("the cursor's reply has {what}"));
        let body = reply.body();
        let (mut documents, mut cursor_id, mut namespace) = (None, None, None);
        let cursor = match body.get_document("cursor") {
            Ok(cursor) => Some(cursor),
            Err(_) => {
                let databases = body.get_array("databases").map_err(|_| malformed("no cursor"))?;
                (documents, cursor_id) = (Some(databases.as_bytes()), Some(0));
                None
            }
        };
        for element in cursor.into_iter().flatten() {
            match element.map_err(|_| malformed("malformed BSON"))? {
                (key, RawBsonRef::Array(array))
                    if matches!(key.as_str(), "firstBatch" | "nextBatch") =>
                {
                    documents = Some(array.as_bytes());
                }
                (key, RawBsonRef::Int64(id)) if key.as_str() == "id" => cursor_id = Some(id),
                (key, id) if key.as_str() == "id" => cursor_id = integer(id).map(i64::from),
                (key, RawBsonRef::String(name)) if key.as_str() == "ns" && !name.is_empty() => {
                    namespace = Some(name.to_owned())
                }
                _ => {}
            }
        }
        let documents = documents.ok_or_else(|| malformed("no batch"))?;
        let cursor_id = cursor_id.ok_or_else(|| malformed("no cursor id"))?;
        if cursor_id != 0 && namespace.as_ref().is_some_and(|name: &String| !name.contains('.')) {
            return Err(malformed("a namespace without a dot"));
        }
        let count = count(documents).ok_or_else(|| malformed("a malformed batch"))?;
        let start = documents.as_ptr() as usize - body.as_bytes().as_ptr() as usize;
        let documents = start..start + documents.len();
        Ok(Batch { documents, count, cursor_id, namespace, reply })
    }

    /// Database and collection of the getMores: if the server does not name them, those that the command did.
    pub fn place<'a>(&'a self, command: (&'a str, &'a str)) -> (&'a str, &'a str) {
        self.namespace.as_ref().and_then(|name| name.split_once('.')).unwrap_or(command)
    }

    /// Whether it comes from a change stream.
    pub fn is_of_changes(&self) -> bool {
        let cursor = self.body().get_document("cursor").ok();
        cursor.is_some_and(|cursor| matches!(cursor.get("postBatchResumeToken"), Ok(Some(_))))
    }

    /// A BSON array of documents.
    pub fn documents(&self) -> &[u8] {
        &self.reply.body().as_bytes()[self.documents.clone()]
    }

    /// The bytes of each document.
    pub fn raw(&self) -> Vec<&[u8]> {
        let array = self.documents();
        let mut documents = Vec::with_capacity(self.count);
        let mut at = 4;
        for _ in 0..self.count {
            let range = document_at(array, at).expect("they were counted");
            at = range.end;
            documents.push(&array[range]);
        }
        documents
    }

    /// The document whose element begins there; 0 for the first, whatever comes before it.
    pub fn document_at(&self, at: usize) -> Option<&RawDocument> {
        let array = self.documents();
        RawDocument::from_bytes(&array[document_at(array, at.max(4))?]).ok()
    }

    pub fn body(&self) -> &RawDocument {
        self.reply.body()
    }
}

/// Hops from document to document; `None` if they do not fill the array exactly.
fn count(array: &[u8]) -> Option<usize> {
    let said = i32::from_le_bytes(array.get(..4)?.try_into().ok()?);
    let end = array.len().checked_sub(1).filter(|_| usize::try_from(said) == Ok(array.len()))?;
    let (mut at, mut count) = (4, 0);
    while at < end {
        at = document_at(array, at)?.end;
        count += 1;
    }
    (at == end).then_some(count)
}

/// Where the document is whose element begins at `at`; its end may be a lie.
fn document_at(array: &[u8], at: usize) -> Option<Range<usize>> {
    if array[at] != 0x03 {
        return None;
    }
    let key = array[at + 1..array.len() - 1].iter().position(|&byte| byte == 0)?;
    let start = at + 1 + key + 1;
    let length = array.get(start..start + 4)?.try_into().ok()?;
    let length = usize::try_from(i32::from_le_bytes(length)).ok().filter(|&length| length >= 5)?;
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_and_lies_are_seen() {
        let array = bson::rawdoc! { "0": { "x": 1 }, "1": {}, "2": { "long": "enough" } };
        let bytes = array.as_bytes();
        assert_eq!(count(bytes), Some(3));
        for end in 0..bytes.len() - 1 {
            assert_eq!(count(&bytes[..end]), None, "cut at {end}");
        }
        assert_eq!(count(bson::rawdoc! { "0": 1 }.as_bytes()), None);
        assert_eq!(count(bson::rawdoc! {}.as_bytes()), Some(0));
    }
}
