//! Where a change stream stands, and after which errors it goes on from there (change streams
//! specification, "resume process").

use bson::raw::{CStr, cstr};
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp};

use crate::error::{Error, ErrorKind, Result};

/// Where a stream stands: what a new cursor asks to go on behind.
#[derive(Clone, Default)]
pub struct Position {
    begin: Begin,
    /// The resume token last seen; empty if none was. One buffer, as each event brings one.
    token: Vec<u8>,
    /// That of the whole batch: it may be further on than the last event.
    post_batch: Option<RawDocumentBuf>,
    /// When the stream began, if there is no token yet.
    operation_time: Option<Timestamp>,
    returned: bool,
}

/// Where the user wants a stream to begin.
#[derive(Clone, Default)]
pub enum Begin {
    #[default]
    Now,
    /// `startAfter`: also after the event that invalidated a stream.
    After(RawBson),
    /// `resumeAfter`.
    Behind(RawBson),
    /// `startAtOperationTime`: a timestamp.
    At(RawBson),
}

impl Position {
    pub fn new(begin: Begin) -> Position {
        Position { begin, ..Position::default() }
    }

    pub fn token(&self) -> Option<&[u8]> {
        (!self.token.is_empty()).then_some(&self.token)
    }

    /// Appends to the options of `$changeStream` where a new cursor begins. From the first event on a stream
    /// resumes with `resumeAfter`, also one begun with `startAfter`.
    pub fn append(&self, options: &mut RawDocumentBuf) {
        let seen = self.token().and_then(|token| RawDocument::from_bytes(token).ok());
        let given = match &self.begin {
            // The server judges what the user gave.
            Begin::After(token) | Begin::Behind(token) => Some(token.as_raw_bson_ref()),
            Begin::Now | Begin::At(_) => None,
        };
        let begins_after = matches!(self.begin, Begin::After(_)) && !self.returned;
        match (seen.map(RawBsonRef::Document).or(given), &self.begin, self.operation_time) {
            (Some(token), ..) if begins_after => options.append(cstr!("startAfter"), token),
            (Some(token), ..) => options.append(cstr!("resumeAfter"), token),
            (None, Begin::At(time), _) => options.append(START_AT, time.as_raw_bson_ref()),
            (None, _, Some(time)) => options.append(START_AT, time),
            (None, _, None) => {}
        }
    }

    /// Takes in the reply to an `aggregate` or a getMore.
    pub fn receive(&mut self, reply: &RawDocument) -> Result<()> {
        let Ok(cursor) = reply.get_document("cursor") else { return Ok(()) }; // told by the cursor
        self.post_batch = cursor.get_document("postBatchResumeToken").ok().map(ToOwned::to_owned);
        let first = cursor.get_array("firstBatch");
        let events = first.as_ref().copied().or_else(|_| cursor.get_array("nextBatch"));
        if events.is_ok_and(|events| !events.is_empty()) {
            return Ok(());
        }
        if let Some(token) = &self.post_batch {
            self.token = token.as_bytes().to_vec();
        } else if first.is_ok() && matches!(self.begin, Begin::Now) && self.operation_time.is_none()
        {
            let time = reply.get_timestamp("operationTime");
            let missing = "the reply that opens a change stream has no operationTime";
            let missing = |_| Error::command(0, missing, Vec::new(), reply.to_owned());
            self.operation_time = Some(time.map_err(missing)?);
        }
        Ok(())
    }

    /// Takes in an event that is handed out, perhaps the `last` of its batch.
    pub fn pass(&mut self, event: &RawDocument, last: bool) -> Result<()> {
        let own = token_of(event).ok_or_else(|| {
            Error::invalid_operation(
                "a change without its resume token (_id) arrived: the stream could not go on after it",
            )
        })?;
        let of_batch = self.post_batch.as_ref().filter(|_| last);
        self.token.clear();
        self.token.extend_from_slice(of_batch.map_or(own, |token| token.as_bytes()));
        self.returned = true;
        Ok(())
    }
}

/// Servers put it first: nothing else of the event is looked at then.
fn token_of(event: &RawDocument) -> Option<&[u8]> {
    if let Some(first) = event.as_bytes()[4..].strip_prefix(b"\x03_id\0") {
        let length = u32::from_le_bytes(*first.first_chunk()?);
        return first.get(..usize::try_from(length).ok()?).filter(|token| token.len() >= 5);
    }
    event.get_document("_id").ok().map(RawDocument::as_bytes)
}

/// After which errors of a getMore a new cursor may do better.
pub fn is_resumable(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Network
        | ErrorKind::NetworkTimeout
        | ErrorKind::PoolCleared
        | ErrorKind::ServerSelection
        | ErrorKind::WaitQueueTimeout => true,
        // Servers label all of them; that an old primary steps down says enough, as in PyMongo.
        ErrorKind::Command { code } => {
            code == CURSOR_NOT_FOUND || error.is_state_change() || error.has_label(RESUMABLE)
        }
        _ => false,
    }
}

/// Each resume sends an `aggregate` that works. When so many in a row did and no getMore has, waiting
/// for the next event would go round for ever.
pub const MOST_IN_A_ROW: u32 = 10;

const START_AT: &CStr = cstr!("startAtOperationTime");
const CURSOR_NOT_FOUND: i32 = 43;
const RESUMABLE: &str = "ResumableChangeStreamError";

#[cfg(test)]
mod tests {
    use bson::{doc, rawdoc};

    use super::*;

    fn reply(batch: &str, events: i32, token: Option<i32>) -> RawDocumentBuf {
        let events: Vec<_> = (0..events).map(|n| doc! { "n": n }).collect();
        let mut cursor = doc! { "id": 1_i64, batch: events };
        if let Some(token) = token {
            cursor.insert("postBatchResumeToken", doc! { "t": token });
        }
        let time = Timestamp { time: 7, increment: 1 };
        doc! { "cursor": cursor, "operationTime": time }.try_into().unwrap()
    }

    fn event(token: i32) -> RawDocumentBuf {
        rawdoc! { "_id": { "t": token }, "operationType": "insert" }
    }

    fn token(position: &Position) -> Option<i32> {
        position.token().map(|token| RawDocument::from_bytes(token).unwrap().get_i32("t").unwrap())
    }

    #[test]
    fn the_token_is_the_last_events_and_at_the_end_of_a_batch_the_batchs() {
        let mut position = Position::new(Begin::Behind(rawdoc! { "t": 0 }.into()));
        position.receive(&reply("firstBatch", 2, Some(9))).unwrap();
        assert_eq!(token(&position), None, "the place the user named holds until an event is read");
        position.pass(&event(1), false).unwrap();
        assert_eq!(token(&position), Some(1));
        position.pass(&event(2), true).unwrap();
        assert_eq!(token(&position), Some(9));
        position.receive(&reply("nextBatch", 0, Some(10))).unwrap();
        assert_eq!(token(&position), Some(10));
        position.receive(&reply("nextBatch", 1, None)).unwrap();
        position.pass(&event(11), true).unwrap();
        assert_eq!(token(&position), Some(11));
    }

    #[test]
    fn empty_batches_move_it_on_without_an_event() {
        let mut position = Position::new(Begin::Behind(rawdoc! { "t": 0 }.into()));
        for batch in ["firstBatch", "nextBatch"] {
            position.receive(&reply(batch, 0, Some(3))).unwrap();
            assert_eq!(token(&position), Some(3));
        }
        assert!(!position.returned);
        position.pass(&event(4), false).unwrap();
        assert!(position.returned);
    }

    #[test]
    fn without_any_token_it_began_at_the_first_replys_time() {
        let mut position = Position::new(Begin::Now);
        position.receive(&reply("firstBatch", 0, None)).unwrap();
        assert_eq!(position.operation_time, Some(Timestamp { time: 7, increment: 1 }));
        let time = Timestamp { time: 8, increment: 1 };
        let later = rawdoc! { "cursor": { "firstBatch": [] }, "operationTime": time };
        position.receive(&later).unwrap();
        assert_eq!(position.operation_time.unwrap().time, 7, "a resumed stream begins there too");

        for (begin, batch, events) in [
            (Begin::Behind(rawdoc! { "t": 0 }.into()), "firstBatch", 0),
            (Begin::Now, "firstBatch", 1),
            (Begin::Now, "nextBatch", 0),
        ] {
            let mut position = Position::new(begin);
            position.receive(&reply(batch, events, None)).unwrap();
            assert_eq!(position.operation_time, None, "{batch} {events}");
        }
        let no_time = rawdoc! { "cursor": { "firstBatch": [] } };
        assert!(Position::new(Begin::Now).receive(&no_time).is_err());
        assert!(Position::new(Begin::Behind(rawdoc! { "t": 0 }.into())).receive(&no_time).is_ok());
    }

    #[test]
    fn an_event_without_a_token_cannot_be_passed() {
        let mut position = Position::new(Begin::Now);
        for event in [rawdoc! { "operationType": "insert" }, rawdoc! { "_id": 1 }] {
            let error = position.pass(&event, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOperation);
            assert!(position.token().is_none() && !position.returned);
        }
        position.pass(&rawdoc! { "operationType": "insert", "_id": { "t": 5 } }, false).unwrap();
        assert_eq!(token(&position), Some(5), "wherever it is");
    }

    #[test]
    fn errors_that_a_new_cursor_may_cure() {
        let command = |code, labels: &[&str]| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            Error::command(code, "no", labels, rawdoc! { "ok": 0 })
        };
        for kind in [
            ErrorKind::Network,
            ErrorKind::NetworkTimeout,
            ErrorKind::PoolCleared,
            ErrorKind::ServerSelection,
        ] {
            assert!(is_resumable(&Error::new(kind, "gone")), "{kind:?}");
        }
        assert!(is_resumable(&command(43, &[])));
        assert!(is_resumable(&command(10107, &[])));
        assert!(is_resumable(&command(280, &[RESUMABLE])));
        assert!(!is_resumable(&command(280, &["NonResumableChangeStreamError"])));
        assert!(!is_resumable(&command(237, &[])), "somebody killed the cursor on purpose");
        for kind in [ErrorKind::Protocol, ErrorKind::InvalidOperation, ErrorKind::Callback] {
            assert!(!is_resumable(&Error::new(kind, "no")), "{kind:?}");
        }
    }
}
