//! An outgoing OP_MSG: a command encoded once, sealed anew for each attempt.
//!
//! The caller's command is encoded straight behind the room kept for header and flags; what
//! depends on the attempt (`lsid`, `txnNumber`, `$clusterTime`, ...) is appended when sealing, so
//! that a retry copies and encodes nothing again.

use std::ops::Range;

use bson::RawDocument;

use super::elements;
use super::framer::LONGEST;
use crate::error::{Error, ErrorKind, Result};

pub struct Message {
    /// Header, flags, section kind, then the body document.
    bytes: Vec<u8>,
    /// Where the caller's elements end.
    body_end: usize,
    /// Documents of kind 1 sections, with their identifiers.
    sequences: Vec<Sequence>,
    more_to_come: bool,
    exhaust_allowed: bool,
    raw_batches: bool,
}

/// What the caller gave of a message that is being sealed.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    end: usize,
    pub sequences: &'a [Sequence],
}

impl Given<'_> {
    /// The elements of the caller's command, of the bytes that are handed to `extras`.
    pub fn elements<'b>(&self, out: &'b [u8]) -> &'b [u8] {
        &out[BODY + 4..self.end]
    }
}

/// BSON documents end to end, under the name of the field they would be in the command.
pub type Sequence = (&'static str, Vec<u8>);

impl Message {
    /// `encode` appends one whole BSON document, the command.
    pub fn new<E>(
        encode: impl FnOnce(&mut Vec<u8>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Message, E> {
        let mut bytes = Vec::with_capacity(512);
        bytes.resize(BODY, 0);
        encode(&mut bytes)?;
        let body_end = bytes.len() - 1;
        Ok(Message {
            bytes,
            body_end,
            sequences: Vec::new(),
            more_to_come: false,
            exhaust_allowed: false,
            raw_batches: false,
        })
    }

    /// A command that the core makes itself.
    pub fn from_elements(fill: impl FnOnce(&mut Vec<u8>)) -> Message {
        let encoded = Message::new::<std::convert::Infallible>(|out| {
            elements::open_document(out, fill);
            Ok(())
        });
        match encoded {
            Ok(message) => message,
        }
    }

    /// Adds the documents of `insert` and the like; `documents` are BSON documents end to end.
    pub fn with_sequence(mut self, identifier: &'static str, documents: Vec<u8>) -> Message {
        self.sequences.push((identifier, documents));
        self
    }

    /// Asks the server not to answer (unacknowledged writes).
    pub fn without_reply(mut self) -> Message {
        self.more_to_come = true;
        self
    }

    /// Lets the server go on answering without being asked again (exhaust cursors).
    pub fn with_replies_to_come(mut self) -> Message {
        self.exhaust_allowed = true;
        self
    }

    /// The caller takes the reply's batch as bytes, and so do listeners.
    pub fn with_raw_batches(mut self) -> Message {
        self.raw_batches = true;
        self
    }

    pub fn has_raw_batches(&self) -> bool {
        self.raw_batches
    }

    pub fn allows_exhaust(&self) -> bool {
        self.exhaust_allowed
    }

    pub fn expects_reply(&self) -> bool {
        !self.more_to_come
    }

    /// The command's name: the first key of its document.
    pub fn name(&self) -> &str {
        let key = self.bytes.get(BODY + 5..self.body_end).unwrap_or_default();
        let end = key.iter().position(|&byte| byte == 0).unwrap_or(0);
        std::str::from_utf8(&key[..end]).unwrap_or_default()
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(|other| other == name).is_some()
    }

    /// Takes elements out of the caller's command, to be called before the first `seal`.
    pub fn remove(&mut self, unwanted: impl Fn(&str) -> bool) {
        while let Some(element) = self.find(&unwanted) {
            self.bytes.drain(element);
            self.body_end = self.bytes.len() - 1;
            self.put(BODY, (self.bytes.len() - BODY) as i32);
        }
    }

    /// Where the first such element of the command stands.
    fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<Range<usize>> {
        let command = RawDocument::from_bytes(&self.bytes[BODY..]).ok()?;
        let element = elements::find(command, wanted)?;
        Some(BODY + element.start..BODY + element.end)
    }

    /// Makes the bytes of one attempt: `extras` appends elements behind the caller's.
    pub fn seal(
        &mut self,
        request_id: i32,
        extras: impl FnOnce(&mut Vec<u8>, Given<'_>) -> Result<()>,
    ) -> Result<()> {
        self.bytes.truncate(self.body_end);
        let given = Given { end: self.body_end, sequences: &self.sequences };
        extras(&mut self.bytes, given)?;
        self.bytes.push(0);
        let body_length = self.bytes.len() - BODY;
        let mut total = self.bytes.len();
        for (at, (identifier, documents)) in self.sequences.iter().enumerate() {
            let size = 4 + identifier.len() + 1 + documents.len();
            self.bytes.push(1);
            self.bytes.extend_from_slice(&(size as u32).to_le_bytes());
            self.bytes.extend_from_slice(identifier.as_bytes());
            self.bytes.push(0);
            total += 1 + size;
            // The last, which may be long, is sent from where it is.
            if at + 1 < self.sequences.len() {
                self.bytes.extend_from_slice(documents);
            }
        }
        if total > LONGEST {
            let text = format!("{} command document too large", self.name());
            return Err(Error::new(ErrorKind::DocumentTooLarge, text));
        }
        self.put(0, total as i32);
        self.put(4, request_id);
        self.put(8, 0);
        self.put(12, OP_MSG);
        let streamed = if self.exhaust_allowed { EXHAUST_ALLOWED } else { 0 };
        self.put(16, if self.more_to_come { MORE_TO_COME } else { streamed });
        self.bytes[20] = 0;
        self.put(BODY, body_length as i32);
        Ok(())
    }

    /// As given to `seal`.
    pub fn request_id(&self) -> i32 {
        i32::from_le_bytes(self.bytes[4..8].try_into().expect("the header has room for it"))
    }

    /// The body document as it was sealed.
    pub fn body(&self) -> &[u8] {
        let length: [u8; 4] = self.bytes[BODY..BODY + 4].try_into().expect("four bytes");
        &self.bytes[BODY..BODY + u32::from_le_bytes(length) as usize]
    }

    /// The documents behind the body.
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// The last of these, which may be long, for its memory.
    pub fn into_last_sequence(mut self) -> Option<Vec<u8>> {
        self.sequences.pop().map(|(_, documents)| documents)
    }

    /// What to send: the message, and the documents that end it.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        let documents = self.sequences.last().map_or(&[][..], |(_, documents)| documents);
        (&self.bytes, documents)
    }

    fn put(&mut self, at: usize, value: i32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

pub const OP_MSG: i32 = 2013;
pub const MORE_TO_COME: i32 = 1 << 1;
pub const EXHAUST_ALLOWED: i32 = 1 << 16;
/// Length, request id, the id answered to, opcode.
pub const HEADER: usize = 16;
/// Behind the header come 4 bytes of flags and 1 of section kind.
pub const BODY: usize = HEADER + 4 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(message: &mut Message, request_id: i32, key: &str, value: &str) {
        let appended = message.seal(request_id, |out, _| {
            elements::string(out, key, value);
            Ok(())
        });
        appended.unwrap();
    }

    #[test]
    fn sealing_twice_forgets_the_first_attempt() {
        let mut message = Message::from_elements(|out| elements::int32(out, "ping", 1));
        assert_eq!(message.name(), "ping");
        seal(&mut message, 1, "lsid", "a long first attempt");
        seal(&mut message, 2, "$db", "admin");
        let (bytes, documents) = message.parts();
        assert!(documents.is_empty());
        assert_eq!(bytes[..4], (bytes.len() as i32).to_le_bytes());
        assert_eq!(bytes[4..8], 2_i32.to_le_bytes());
        let body = RawDocument::from_bytes(&bytes[BODY..]).unwrap();
        assert_eq!(body.as_bytes(), bson::rawdoc! { "ping": 1, "$db": "admin" }.as_bytes());
        assert_eq!(message.body(), body.as_bytes());
    }

    #[test]
    fn elements_can_be_taken_out() {
        let mut message = Message::from_elements(|out| {
            elements::string(out, "find", "c");
            elements::int64(out, "maxTimeMS", 5);
            elements::string(out, "comment", "with it");
            elements::nested(out, "filter", |out| elements::int32(out, "maxTimeMS", 1));
            elements::boolean(out, "hint", true);
        });
        message.remove(|name| ["maxTimeMS", "hint", "comment"].contains(&name));
        seal(&mut message, 1, "$db", "d");
        let body = RawDocument::from_bytes(&message.parts().0[BODY..]).unwrap();
        let expected = bson::rawdoc! { "find": "c", "filter": { "maxTimeMS": 1 }, "$db": "d" };
        assert_eq!(body.as_bytes(), expected.as_bytes());
    }

    #[test]
    fn flags_say_what_may_be_answered() {
        let ping = || Message::from_elements(|out| elements::int32(out, "ping", 1));
        for (mut message, flags) in [
            (ping(), 0),
            (ping().without_reply(), MORE_TO_COME),
            (ping().with_replies_to_come(), EXHAUST_ALLOWED),
        ] {
            seal(&mut message, 1, "$db", "d");
            assert_eq!(message.parts().0[16..20], flags.to_le_bytes());
        }
    }

    #[test]
    fn a_sequence_follows_the_body() {
        let documents = bson::rawdoc! { "x": 1 }.into_bytes();
        let mut message = Message::from_elements(|out| elements::string(out, "insert", "c"))
            .with_sequence("documents", documents.clone());
        seal(&mut message, 7, "$db", "d");
        assert_eq!(message.sequences(), [("documents", documents.clone())]);
        assert_eq!(message.body(), bson::rawdoc! { "insert": "c", "$db": "d" }.as_bytes());
        let (head, tail) = message.parts();
        assert_eq!(tail, documents);
        assert_eq!(head[..4], ((head.len() + tail.len()) as i32).to_le_bytes());
        let section = &head[head.len() - 15..];
        assert_eq!(section[0], 1);
        assert_eq!(section[1..5], (14 + documents.len() as i32).to_le_bytes());
        assert_eq!(&section[5..], b"documents\0");
    }
    #[test]
    fn the_last_of_several_sequences_is_the_tail() {
        let (first, last) = (bson::rawdoc! { "ns": "d.c" }, bson::rawdoc! { "insert": 0 });
        let mut message = Message::from_elements(|out| elements::int32(out, "bulkWrite", 1))
            .with_sequence("nsInfo", first.as_bytes().to_vec())
            .with_sequence("ops", last.as_bytes().to_vec());
        for id in [1, 2] {
            seal(&mut message, id, "$db", "admin");
            let (head, tail) = message.parts();
            assert_eq!(tail, last.as_bytes());
            assert_eq!(head[..4], ((head.len() + tail.len()) as i32).to_le_bytes());
            let sections = &head[BODY + message.body().len()..];
            let of_first = 1 + 4 + "nsInfo".len() + 1 + first.as_bytes().len();
            assert_eq!(&sections[12..of_first], first.as_bytes());
            assert_eq!(&sections[of_first + 5..], b"ops\0");
        }
    }
}
