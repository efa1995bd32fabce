//! What the batches of a bulk write have done so far, taken from the raw replies. Documents that go to the caller
//! stay raw; positions in them are those in the whole bulk write.

use bson::raw::RawArray;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::positions::corrected;
use super::verb::Verb;
use crate::error::{self, Error, ErrorKind, Result};
use crate::wire::elements;
use crate::wire::reply::integer;

#[derive(Debug, Default)]
pub struct Totals {
    pub inserted: i64,
    pub matched: i64,
    pub modified: i64,
    pub deleted: i64,
    pub upserted: i64,
    /// Position and `_id` of what a collection's bulk write has upserted; a client's are among its results.
    pub upserts: Vec<RawDocumentBuf>,
    pub write_errors: Vec<RawDocumentBuf>,
    /// Of each batch, with the labels of its reply.
    pub write_concern_errors: Vec<RawDocumentBuf>,
    /// A write concern error after which nobody knows what the next batch would meet.
    pub halted: bool,
}

impl Totals {
    /// Adds the reply to a batch of inserts, updates or deletes. `position` knows where each statement of the
    /// batch stands in the whole.
    pub fn add(
        &mut self,
        verb: Verb,
        reply: &RawDocument,
        position: impl Fn(usize) -> Option<usize>,
    ) -> Result<()> {
        let (mut affected, mut modified) = (0, 0);
        let before = self.upserts.len();
        for element in reply {
            let (name, value) = element.map_err(invalid)?;
            match name.as_str() {
                "n" => affected = count("n", value)?,
                "nModified" if verb == Verb::Update => modified = count("nModified", value)?,
                "upserted" if verb == Verb::Update => {
                    add_each(&mut self.upserts, ("upserted", value), &position)?;
                }
                "writeErrors" => {
                    add_each(&mut self.write_errors, ("writeErrors", value), &position)?;
                }
                _ => {}
            }
        }
        match verb {
            Verb::Insert => add_to(&mut self.inserted, affected),
            Verb::Delete => add_to(&mut self.deleted, affected),
            Verb::Update => {
                let upserted = (self.upserts.len() - before) as i64;
                add_to(&mut self.upserted, upserted);
                add_to(&mut self.matched, affected.saturating_sub(upserted));
                add_to(&mut self.modified, modified);
            }
        }
        self.halted |= self.add_write_concern_error(reply)?;
        Ok(())
    }

    /// Whether there is one that a retry might have cured.
    pub(super) fn add_write_concern_error(&mut self, reply: &RawDocument) -> Result<bool> {
        let concern = match reply.get("writeConcernError").map_err(invalid)? {
            None | Some(RawBsonRef::Null) => return Ok(false),
            Some(RawBsonRef::Document(concern)) if concern.is_empty() => return Ok(false),
            Some(RawBsonRef::Document(concern)) => concern,
            Some(_) => return Err(malformed("writeConcernError is no document")),
        };
        // The server puts the labels beside it; with several batches they belong into it.
        let concern = match reply.get_array("errorLabels") {
            Ok(labels) if !labels.is_empty() => with_labels(concern, labels)?,
            _ => concern.to_owned(),
        };
        let code = concern.get("code").map_err(invalid)?.and_then(integer);
        self.write_concern_errors.push(concern);
        Ok(code.is_some_and(error::is_retryable_code))
    }
}

fn with_labels(concern: &RawDocument, labels: &RawArray) -> Result<RawDocumentBuf> {
    let bytes = concern.as_bytes();
    let own = elements::find(concern, |name| name == "errorLabels");
    let own = own.unwrap_or(bytes.len() - 1..bytes.len() - 1);
    let mut out = Vec::with_capacity(bytes.len() + labels.as_bytes().len() + 16);
    elements::open_document(&mut out, |out| {
        out.extend_from_slice(&bytes[4..own.start]);
        elements::array(out, "errorLabels", labels);
        out.extend_from_slice(&bytes[own.end..bytes.len() - 1]);
    });
    RawDocumentBuf::from_bytes(out).map_err(invalid)
}

fn add_each(
    all: &mut Vec<RawDocumentBuf>,
    (name, found): (&str, RawBsonRef<'_>),
    position: impl Fn(usize) -> Option<usize>,
) -> Result<()> {
    let found = match found {
        RawBsonRef::Null => return Ok(()),
        RawBsonRef::Array(found) => found,
        _ => return Err(malformed(format!("{name} is no array"))),
    };
    for document in found {
        let RawBsonRef::Document(document) = document.map_err(invalid)? else {
            return Err(malformed(format!("{name} holds something that is not a document")));
        };
        all.push(corrected(document, "index", &position)?);
    }
    Ok(())
}

pub(super) fn add_to(total: &mut i64, more: i64) {
    *total = total.saturating_add(more);
}

pub(super) fn count(name: &str, value: RawBsonRef<'_>) -> Result<i64> {
    match value {
        RawBsonRef::Int32(number) => Ok(number.into()),
        RawBsonRef::Int64(number) => Ok(number),
        RawBsonRef::Double(number) if (number as i64) as f64 == number => Ok(number as i64),
        RawBsonRef::Null => Ok(0),
        _ => Err(malformed(format!("{name} is no count"))),
    }
}

pub(super) fn malformed(what: impl std::fmt::Display) -> Error {
    Error::protocol(format!("malformed reply: {what}"))
}

pub(super) fn invalid(error: bson::error::Error) -> Error {
    Error::new(ErrorKind::InvalidBson, format!("the reply is not valid BSON: {error}"))
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn counts_and_positions_are_added_up() {
        let mut totals = Totals::default();
        let reply = rawdoc! {
            "n": 4, "nModified": 1_i64, "ok": 1.0,
            "upserted": [{ "index": 1, "_id": "u" }, { "index": 2, "_id": "v" }],
        };
        totals.add(Verb::Update, &reply, |index| Some(index + 10)).unwrap();
        totals.add(Verb::Update, &reply, |index| Some(index + 20)).unwrap();
        totals.add(Verb::Insert, &rawdoc! { "n": 3.0, "nModified": 9 }, Some).unwrap();
        totals.add(Verb::Delete, &rawdoc! { "n": 2, "upserted": 5 }, Some).unwrap();
        let Totals { inserted, matched, modified, deleted, upserted, .. } = totals;
        assert_eq!([inserted, matched, modified, deleted, upserted], [3, 4, 2, 2, 4]);
        let positions = totals.upserts.iter().map(|upsert| upsert.get_i32("index").unwrap());
        assert_eq!(positions.collect::<Vec<_>>(), [11, 12, 21, 22]);
    }

    #[test]
    fn labels_of_the_reply_move_into_the_write_concern_error() {
        let mut totals = Totals::default();
        for (concern, labels, halts) in [
            (rawdoc! { "code": 64 }, rawdoc! { "errorLabels": ["A"] }, false),
            (rawdoc! { "errorLabels": "own", "code": 91 }, rawdoc! { "errorLabels": ["A"] }, true),
            (rawdoc! { "code": 91 }, rawdoc! { "errorLabels": [] }, true),
            (rawdoc! {}, rawdoc! {}, false),
        ] {
            let mut reply = rawdoc! { "n": 1, "writeConcernError": concern };
            for (name, value) in labels.iter().flatten() {
                reply.append(name, value);
            }
            assert_eq!(totals.add_write_concern_error(&reply).unwrap(), halts);
        }
        let expected = [
            rawdoc! { "code": 64, "errorLabels": ["A"] },
            rawdoc! { "errorLabels": ["A"], "code": 91 },
            rawdoc! { "code": 91 },
        ];
        assert_eq!(totals.write_concern_errors, expected);
    }

    #[test]
    fn malformed_replies_are_refused() {
        for reply in [
            rawdoc! { "n": "1" },
            rawdoc! { "n": 1.5 },
            rawdoc! { "n": f64::NAN },
            rawdoc! { "writeErrors": 1 },
            rawdoc! { "writeErrors": [1] },
            rawdoc! { "writeErrors": [{ "code": 1 }] },
            rawdoc! { "upserted": { "index": 0 } },
            rawdoc! { "nModified": true },
            rawdoc! { "writeConcernError": 1 },
        ] {
            let refused = Totals::default().add(Verb::Update, &reply, Some).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Protocol, "{reply:?}");
        }
    }

    #[test]
    fn totals_do_not_overflow() {
        let mut totals = Totals::default();
        for _ in 0..2 {
            totals.add(Verb::Insert, &rawdoc! { "n": i64::MAX }, Some).unwrap();
            totals.add(Verb::Update, &rawdoc! { "n": i64::MIN }, Some).unwrap();
        }
        assert_eq!((totals.inserted, totals.matched), (i64::MAX, i64::MIN));
    }
}
