//! An incoming OP_MSG: checked once, its gossip and errors picked out in one pass over the top level.

use bson::raw::RawElement;
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp};

use super::message::{BODY, MORE_TO_COME, OP_MSG};
use crate::error::{Error, ErrorKind, RETRYABLE_WRITE, Result};
use crate::net::buffers::Buffer;

pub struct Reply {
    buffer: Buffer,
    pub operation_time: Option<Timestamp>,
    cluster_time: Option<(usize, usize)>,
}

impl Reply {
    /// Checks framing; the caller still asks `check` whether the command succeeded. `may_go_on`: the
    /// server was allowed to send more replies than this one.
    pub fn parse(buffer: Buffer, request_id: i32, may_go_on: bool) -> Result<Reply> {
        let bytes = &buffer[..];
        if bytes.len() < BODY + 5 {
            return Err(Error::protocol("the reply is too short for an OP_MSG"));
        }
        if int32(bytes, 12) != OP_MSG {
            let text = format!("the reply has opcode {}, not OP_MSG", int32(bytes, 12));
            return Err(Error::protocol(text));
        }
        if int32(bytes, 8) != request_id {
            return Err(Error::protocol("the reply answers another request"));
        }
        let flags = int32(bytes, 16);
        let expected = if may_go_on { MORE_TO_COME } else { 0 };
        // Nobody asked for a checksum; the upper half is optional.
        if flags & 0xffff & !expected != 0 {
            return Err(Error::protocol(format!("the reply has unsupported flags {flags:#x}")));
        }
        if bytes[20] != 0 || usize::try_from(int32(bytes, BODY)) != Ok(bytes.len() - BODY) {
            return Err(Error::protocol("the reply is not one section with one document"));
        }
        RawDocument::from_bytes(&bytes[BODY..]).map_err(malformed)?;
        Ok(Reply { buffer, operation_time: None, cluster_time: None })
    }

    /// The id that the next reply will answer, if it comes without being asked for.
    pub fn goes_on_as(&self) -> Option<i32> {
        (int32(&self.buffer, 16) & MORE_TO_COME != 0).then(|| int32(&self.buffer, 4))
    }

    pub fn body(&self) -> &RawDocument {
        RawDocument::from_bytes(&self.buffer[BODY..]).expect("checked by parse")
    }

    pub fn cluster_time(&self) -> Option<&RawDocument> {
        let (start, end) = self.cluster_time?;
        RawDocument::from_bytes(&self.buffer[start..end]).ok()
    }

    /// The write concern error of a command that succeeded, as an error.
    pub fn check_write_concern(&self) -> Result<()> {
        match self.body().get_document("writeConcernError") {
            Ok(error) => {
                let mut fault = Fault::within(error)?;
                if let Ok(labels) = self.body().get_array("errorLabels") {
                    fault.labels(labels)?;
                }
                Err(fault.into_error(self.body().to_owned()))
            }
            Err(_) => Ok(()),
        }
    }

    /// The first statement of a write that was not carried out, though the command itself was.
    pub fn write_error(&self) -> Option<Error> {
        let errors = self.body().get_array("writeErrors").ok()?;
        let Some(Ok(RawBsonRef::Document(first))) = errors.into_iter().next() else { return None };
        Fault::within(first).ok().map(|fault| fault.into_error(first.to_owned()))
    }

    /// Notes gossip; gives the server's error if the command failed, or if it has a write concern
    /// error that a retry may cure (the others are the caller's to report).
    pub fn check(&mut self) -> Result<()> {
        let base = self.buffer.as_ptr() as usize;
        let mut succeeded = false;
        let mut fault = Fault::default();
        let mut operation_time = None;
        let mut cluster_time = None;
        let mut write_concern_error = None;
        for element in self.body().iter_elements() {
            let element = element.map_err(malformed)?;
            if element.key().as_str() == "errmsg" {
                fault.message = text(&element);
                continue;
            }
            let value = element.value().map_err(malformed)?;
            match (element.key().as_str(), value) {
                ("ok", ok) => succeeded = truth(ok),
                ("code", code) => fault.code = integer(code),
                ("errorLabels", RawBsonRef::Array(labels)) => fault.labels(labels)?,
                ("operationTime", RawBsonRef::Timestamp(time)) => operation_time = Some(time),
                ("$clusterTime", RawBsonRef::Document(time)) => {
                    let start = time.as_bytes().as_ptr() as usize - base;
                    cluster_time = Some((start, start + time.as_bytes().len()));
                }
                ("writeConcernError", RawBsonRef::Document(error)) => {
                    write_concern_error = Some(Fault::within(error)?);
                }
                _ => {}
            }
        }
        self.operation_time = operation_time;
        self.cluster_time = cluster_time;
        match succeeded {
            true => match write_concern_error {
                Some(mut error) if fault.labels.iter().any(|label| label == RETRYABLE_WRITE) => {
                    error.labels = fault.labels;
                    Err(error.into_error(self.body().to_owned()))
                }
                _ => Ok(()),
            },
            false => Err(fault.into_error(self.body().to_owned())),
        }
    }
}

#[derive(Default)]
struct Fault {
    code: Option<i32>,
    message: Option<String>,
    labels: Vec<String>,
}

impl Fault {
    /// From a part of a reply: a write concern error, or that of a statement.
    fn within(document: &RawDocument) -> Result<Fault> {
        let mut fault = Fault {
            code: document.get("code").map_err(malformed)?.and_then(integer),
            ..Fault::default()
        };
        for element in document.iter_elements() {
            let element = element.map_err(malformed)?;
            if element.key().as_str() == "errmsg" {
                fault.message = text(&element);
            }
        }
        Ok(fault)
    }

    fn labels(&mut self, labels: &bson::RawArray) -> Result<()> {
        for label in labels {
            if let RawBsonRef::String(label) = label.map_err(malformed)? {
                self.labels.push(label.to_owned());
            }
        }
        Ok(())
    }

    fn into_error(self, reply: RawDocumentBuf) -> Error {
        let message = self.message.unwrap_or_else(|| "the server gave no message".to_owned());
        Error::command(self.code.unwrap_or(0), message, self.labels, reply)
    }
}

/// A message may quote a value that the server has cut in the middle of a character.
fn text(element: &RawElement<'_>) -> Option<String> {
    match element.value_utf8_lossy() {
        Ok(RawBson::String(text)) => Some(text),
        _ => None,
    }
}

/// As Python sees it. Servers answer 1 or 0, of any numeric type.
pub fn truth(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Double(number) => number != 0.0,
        RawBsonRef::Int32(number) => number != 0,
        RawBsonRef::Int64(number) => number != 0,
        RawBsonRef::Boolean(flag) => flag,
        RawBsonRef::Null => false,
        RawBsonRef::String(text) => !text.is_empty(),
        RawBsonRef::Document(document) => !document.is_empty(),
        RawBsonRef::Array(array) => !array.is_empty(),
        _ => true,
    }
}

pub fn integer(value: RawBsonRef<'_>) -> Option<i32> {
    match value {
        RawBsonRef::Int32(number) => Some(number),
        RawBsonRef::Int64(number) => number.try_into().ok(),
        RawBsonRef::Double(number) if f64::from(number as i32) == number => Some(number as i32),
        _ => None,
    }
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidBson, format!("the reply is not valid BSON: {error}"))
}

fn int32(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::net::buffers::Buffers;
    use crate::wire::message::Message;

    fn reply(document: &RawDocument) -> Result<Reply> {
        parse(&bytes_of_reply(document))
    }

    fn bytes_of_reply(document: &RawDocument) -> Vec<u8> {
        let mut message = Message::new::<()>(|out| {
            out.extend_from_slice(document.as_bytes());
            Ok(())
        })
        .unwrap();
        message.seal(5, |_, _| Ok(())).unwrap();
        let mut bytes = message.parts().0.to_vec();
        bytes[8..12].copy_from_slice(&5_i32.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Reply> {
        let mut buffer = Arc::new(Buffers::default()).take(bytes.len());
        buffer.extend_from_slice(bytes);
        Reply::parse(buffer, 5, false)
    }

    #[test]
    fn gossip_is_noted() {
        let time = Timestamp { time: 9, increment: 1 };
        let mut parsed = reply(&bson::rawdoc! {
            "n": 1, "ok": 1.0, "$clusterTime": { "clusterTime": time }, "operationTime": time,
        })
        .unwrap();
        parsed.check().unwrap();
        assert_eq!(parsed.operation_time, Some(time));
        assert_eq!(
            parsed.cluster_time().unwrap().as_bytes(),
            bson::rawdoc! { "clusterTime": time }.as_bytes()
        );
    }

    #[test]
    fn failures_carry_code_message_and_labels() {
        let mut parsed = reply(&bson::rawdoc! {
            "ok": 0.0, "code": 112, "errmsg": "conflict", "errorLabels": ["TransientTransactionError"],
        })
        .unwrap();
        let error = parsed.check().unwrap_err();
        assert_eq!(error.code(), Some(112));
        assert_eq!(error.message(), "conflict");
        assert!(error.has_label(crate::error::TRANSIENT_TRANSACTION));
    }

    #[test]
    fn ok_and_code_are_read_whatever_their_type() {
        for good in [bson::rawdoc! { "ok": 2.5 }, bson::rawdoc! { "ok": true }] {
            reply(&good).unwrap().check().unwrap();
        }
        for (bad, code) in [
            (bson::rawdoc! {}, 0),
            (bson::rawdoc! { "ok": "", "code": 7_i64 }, 7),
            (bson::rawdoc! { "ok": 0, "code": 8.0 }, 8),
            (bson::rawdoc! { "ok": bson::RawBson::Null, "code": 1e300 }, 0),
        ] {
            assert_eq!(reply(&bad).unwrap().check().unwrap_err().code(), Some(code));
        }
    }

    #[test]
    fn flags_that_nobody_asked_for_are_refused() {
        let document = bson::rawdoc! { "ok": 1 };
        for (flag, allowed) in [(0, false), (1, false), (15, false), (16, true), (31, true)] {
            let mut message = vec![0; 16];
            message[8] = 5;
            message[12..16].copy_from_slice(&OP_MSG.to_le_bytes());
            message.extend((1_u32 << flag).to_le_bytes());
            message.push(0);
            message.extend(document.as_bytes());
            assert_eq!(parse(&message).is_ok(), allowed, "bit {flag}");
        }
    }

    #[test]
    fn a_message_that_is_not_quite_utf8_is_still_told() {
        let whole = bson::rawdoc! { "ok": 0.0, "code": 11000, "errmsg": "dup key: ab" };
        let mut bytes = whole.as_bytes().to_vec();
        let cut = bytes.windows(2).position(|pair| pair == b"ab").unwrap();
        bytes[cut + 1] = 0xc3; // the first byte of two
        let mut parsed = reply(RawDocument::from_bytes(&bytes).unwrap()).unwrap();
        let error = parsed.check().unwrap_err();
        assert_eq!(error.code(), Some(11000));
        assert_eq!(error.message(), "dup key: a\u{fffd}");
    }

    #[test]
    fn a_write_concern_error_is_an_error_if_a_retry_may_cure_it() {
        let wce = bson::rawdoc! { "code": 91, "errmsg": "shutting down" };
        let plain = bson::rawdoc! { "ok": 1, "writeConcernError": wce.clone() };
        reply(&plain).unwrap().check().unwrap();
        let otherwise =
            bson::rawdoc! { "ok": 1, "writeConcernError": wce.clone(), "errorLabels": ["Other"] };
        let mut parsed = reply(&otherwise).unwrap();
        parsed.check().unwrap();
        assert!(parsed.check_write_concern().unwrap_err().has_label("Other"));
        let labelled = bson::rawdoc! { "ok": 1, "writeConcernError": wce, "errorLabels": ["RetryableWriteError"] };
        let error = reply(&labelled).unwrap().check().unwrap_err();
        assert_eq!(error.code(), Some(91));
        assert!(error.is_retryable_ending());
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        let document = bson::rawdoc! { "ok": 1.0, "errorLabels": ["a"], "s": "text" };
        let bytes = bytes_of_reply(&document);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err());
        }
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                let mut broken = bytes.clone();
                broken[at] ^= flip;
                if let Ok(mut parsed) = parse(&broken) {
                    let _ = parsed.check();
                }
            }
        }
    }
}
