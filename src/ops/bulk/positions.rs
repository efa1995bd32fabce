//! Where the statements of a run stand in the whole bulk write, and documents of a reply in which such a position
//! is corrected.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::totals::{invalid, malformed};
use crate::error::Result;
use crate::wire::elements;

pub enum Positions {
    /// One after the other from this one on.
    From(usize),
    Each(Vec<usize>),
}

impl Positions {
    pub fn of(&self, statement: usize) -> Option<usize> {
        match self {
            Positions::From(first) => first.checked_add(statement),
            Positions::Each(positions) => positions.get(statement).copied(),
        }
    }
}

/// The document from a batch's reply with the position in field `key` corrected; `position` knows that of each
/// statement of the batch.
pub fn corrected(
    document: &RawDocument,
    key: &'static str,
    position: impl Fn(usize) -> Option<usize>,
) -> Result<RawDocumentBuf> {
    let (index, element) = index_of(document, key)?;
    let position = position(index).and_then(|position| i32::try_from(position).ok());
    let position = position.ok_or_else(|| malformed(format!("no statement has {key} {index}")))?;
    let bytes = document.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() + 4);
    elements::open_document(&mut out, |out| {
        out.extend_from_slice(&bytes[4..element.start]);
        elements::int32(out, key, position);
        out.extend_from_slice(&bytes[element.end..bytes.len() - 1]);
    });
    RawDocumentBuf::from_bytes(out).map_err(invalid)
}

/// The number in such a field, and where the element is.
pub fn index_of(
    document: &RawDocument,
    key: &'static str,
) -> Result<(usize, std::ops::Range<usize>)> {
    let missing = || malformed(format!("{key} is no number of a statement"));
    let element = elements::find(document, |name| name == key).ok_or_else(missing)?;
    let index = match document.get(key).map_err(invalid)? {
        Some(RawBsonRef::Int32(index)) => usize::try_from(index).ok(),
        Some(RawBsonRef::Int64(index)) => usize::try_from(index).ok(),
        Some(RawBsonRef::Double(index)) if f64::from(index as u32) == index => Some(index as usize),
        _ => None,
    };
    Ok((index.ok_or_else(missing)?, element))
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn only_the_position_changes() {
        for index in [bson::RawBson::Int32(1), bson::RawBson::Int64(1), bson::RawBson::Double(1.0)]
        {
            let found = rawdoc! { "code": 9, "index": index, "errmsg": "no" };
            let expected = rawdoc! { "code": 9, "index": 101, "errmsg": "no" };
            let corrected = corrected(&found, "index", |index| Some(index + 100)).unwrap();
            assert_eq!(corrected.as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn what_names_no_statement_is_malformed() {
        let positions = Positions::Each(vec![7, 9]);
        let position = |index| positions.of(index);
        for found in [
            rawdoc! {},
            rawdoc! { "index": "0" },
            rawdoc! { "index": -1 },
            rawdoc! { "index": 0.5 },
            rawdoc! { "index": f64::NAN },
            rawdoc! { "index": 2 },
            rawdoc! { "index": i64::MAX },
        ] {
            assert!(corrected(&found, "index", position).is_err(), "{found:?}");
        }
        let last = corrected(&rawdoc! { "index": 1 }, "index", position).unwrap();
        assert_eq!(last.get_i32("index").unwrap(), 9);
        assert!(corrected(&rawdoc! { "index": 1 }, "index", |_| Some(usize::MAX)).is_err());
    }
}
