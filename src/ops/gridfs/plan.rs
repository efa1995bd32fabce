//! Which chunks a file has, as its document promises them, and whether those that come are they. Decides only.

use bson::{RawBsonRef, RawDocument};

use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub length: u64,
    pub chunk_size: u64,
}

impl Plan {
    /// How many chunks the file has.
    pub fn count(&self) -> u64 {
        self.length.div_ceil(self.chunk_size)
    }

    /// The data of chunk `number`; an error if `chunk` is another one, or broken, or missing.
    pub fn accept<'a>(&self, number: u64, chunk: Option<&'a RawDocument>) -> Result<&'a [u8]> {
        let Some(chunk) = chunk else {
            let count = self.count();
            return Err(corrupt(format!("chunk {number} is missing: the file has {count}")));
        };
        let found = number_of(chunk);
        if found != i64::try_from(number).ok() {
            let found = found.map_or_else(|| "unnumbered".to_owned(), |found| found.to_string());
            return Err(corrupt(format!("chunk {number} is missing: the next one is {found}")));
        }
        let data = data_of(chunk)
            .ok_or_else(|| corrupt(format!("chunk {number} has no data that are bytes")))?;
        let expected = self.chunk_size.min(self.length.saturating_sub(number * self.chunk_size));
        if data.len() as u64 != expected {
            let found = data.len();
            return Err(corrupt(format!("chunk {number} has {found} bytes instead of {expected}")));
        }
        Ok(data)
    }

    /// What comes after the last chunk: nothing, or an empty chunk, which does no harm.
    pub fn accept_end(&self, chunk: Option<&RawDocument>) -> Result<()> {
        let Some(chunk) = chunk.filter(|chunk| data_of(chunk).is_none_or(|data| !data.is_empty()))
        else {
            return Ok(());
        };
        let found = number_of(chunk).map_or_else(String::new, |number| format!(" {number}"));
        let count = self.count();
        Err(corrupt(format!("chunk{found} is one too many: the file has {count}")))
    }

    /// The batch size to ask for with a find that begins with chunk `next`: a few MB, if the server would send more.
    pub fn first_batch(&self, next: u64) -> Option<i64> {
        self.batch(self.count().saturating_sub(next).min(DEFAULT_FIRST_BATCH))
    }

    /// The same of a getMore.
    pub fn next_batch(&self, next: u64) -> Option<i64> {
        self.batch(self.count().saturating_sub(next))
    }

    fn batch(&self, else_sent: u64) -> Option<i64> {
        let size = (BATCH_BYTES / self.chunk_size).max(SMALLEST_BATCH);
        // What is little more comes with it: asking again costs more than it would gain.
        (size + size / 2 < else_sent).then_some(size as i64)
    }
}

fn corrupt(text: String) -> Error {
    Error::new(ErrorKind::CorruptFile, text)
}

/// Other drivers may have stored it as any number.
fn number_of(chunk: &RawDocument) -> Option<i64> {
    match chunk.get("n").ok()?? {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) if (number as i64) as f64 == number => Some(number as i64),
        _ => None,
    }
}

fn data_of(chunk: &RawDocument) -> Option<&[u8]> {
    match chunk.get("data").ok()?? {
        RawBsonRef::Binary(data) => Some(data.bytes),
        _ => None,
    }
}

/// Larger replies fall out of the processor's caches before they are copied.
const BATCH_BYTES: u64 = 4 << 20;
const SMALLEST_BATCH: u64 = 2;
/// How many documents a server sends first if it is not told.
const DEFAULT_FIRST_BATCH: u64 = 101;

#[cfg(test)]
mod tests {
    use bson::spec::BinarySubtype;
    use bson::{Binary, RawDocumentBuf, rawdoc};

    use super::*;

    const PLAN: Plan = Plan { length: 10, chunk_size: 4 };

    fn binary(length: usize) -> Binary {
        Binary { subtype: BinarySubtype::Generic, bytes: vec![1; length] }
    }

    fn refusal(number: u64, chunk: Option<RawDocumentBuf>) -> String {
        let error = PLAN.accept(number, chunk.as_deref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptFile);
        error.message().to_owned()
    }

    #[test]
    fn chunks_are_accepted_in_order_with_any_number_type() {
        for (number, length) in [(0, 4), (1, 4), (2, 2)] {
            let long = rawdoc! { "n": number as i64, "data": binary(length) };
            let float = rawdoc! { "n": number as f64, "data": binary(length) };
            let short = rawdoc! { "n": number as i32, "data": binary(length), "more": 1 };
            for chunk in [long, float, short] {
                assert_eq!(PLAN.accept(number, Some(&chunk)).unwrap().len(), length);
            }
        }
    }

    #[test]
    fn every_damage_is_named() {
        assert_eq!(refusal(1, None), "chunk 1 is missing: the file has 3");
        let wrong = |chunk| refusal(1, Some(chunk));
        let text = wrong(rawdoc! { "n": 2, "data": binary(2) });
        assert_eq!(text, "chunk 1 is missing: the next one is 2");
        let text = wrong(rawdoc! { "n": "1", "data": binary(4) });
        assert_eq!(text, "chunk 1 is missing: the next one is unnumbered");
        let text = wrong(rawdoc! { "n": 1, "data": binary(5) });
        assert_eq!(text, "chunk 1 has 5 bytes instead of 4");
        assert_eq!(wrong(rawdoc! { "n": 1 }), "chunk 1 has no data that are bytes");
        assert_eq!(wrong(rawdoc! { "n": 1, "data": "1234" }), "chunk 1 has no data that are bytes");
        let last = refusal(2, Some(rawdoc! { "n": 2, "data": binary(4) }));
        assert_eq!(last, "chunk 2 has 4 bytes instead of 2");
    }

    #[test]
    fn only_an_empty_chunk_may_follow_the_last() {
        PLAN.accept_end(None).unwrap();
        PLAN.accept_end(Some(&rawdoc! { "n": 3, "data": binary(0) })).unwrap();
        let more = rawdoc! { "n": 3, "data": binary(1) };
        let error = PLAN.accept_end(Some(&more)).unwrap_err();
        assert_eq!(error.message(), "chunk 3 is one too many: the file has 3");
    }

    #[test]
    fn batches_are_limited_where_the_server_would_send_more() {
        let large = Plan { length: 50 << 20, chunk_size: 255 << 10 };
        assert_eq!(
            (large.count(), large.first_batch(0), large.next_batch(16)),
            (201, Some(16), Some(16))
        );
        assert_eq!((large.first_batch(177), large.next_batch(177)), (None, None));
        assert_eq!((large.first_batch(176), large.next_batch(176)), (Some(16), Some(16)));
        let tiny = Plan { length: 150, chunk_size: 1 };
        assert_eq!((tiny.first_batch(0), tiny.next_batch(101)), (None, None));
        let huge = Plan { length: 100 << 20, chunk_size: 10 << 20 };
        assert_eq!((huge.first_batch(0), huge.next_batch(7)), (Some(2), None));
        let empty = Plan { length: 0, chunk_size: 4 };
        assert_eq!((empty.count(), empty.first_batch(0), empty.next_batch(5)), (0, None, None));
    }
}
