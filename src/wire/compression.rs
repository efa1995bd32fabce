//! OP_COMPRESSED: which compressors a connection agreed on, and the envelope around a message.
//!
//! The client names its compressors in hello, the server answers those it has too; the client's
//! order decides. The envelope replaces the header; the message's own opcode travels inside.

use bson::{RawBsonRef, RawDocument};

use super::compressor::Compressor;
use super::elements;
use super::framer::LONGEST;
use super::message::{BODY, HEADER, Message, OP_MSG};
use crate::error::{Error, Result};
use crate::net::buffers::Buffer;

/// What a client wants: compressors in its order of preference.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    pub compressors: Vec<Compressor>,
    /// -1 is zlib's default, 0 stores, 9 takes the most time.
    pub zlib_level: i32,
}

/// What client and server of one connection have in common; nothing before the handshake.
#[derive(Clone, Debug, Default)]
pub struct Agreement(Offer);

impl Offer {
    /// Adds the field of hello, if there is anything to offer.
    pub fn append(&self, hello: &mut Vec<u8>) {
        if !self.compressors.is_empty() {
            let names: Vec<_> =
                self.compressors.iter().map(|compressor| compressor.name()).collect();
            elements::array_of_strings(hello, "compression", &names);
        }
    }

    pub fn agree(&self, hello_reply: &RawDocument) -> Agreement {
        let theirs = match hello_reply.get("compression") {
            Ok(Some(RawBsonRef::Array(names))) => names.into_iter().flatten().collect(),
            _ => Vec::new(),
        };
        let common =
            |ours: &Compressor| theirs.iter().any(|name| name.as_str() == Some(ours.name()));
        let compressors = self.compressors.iter().copied().filter(common).collect();
        Agreement(Offer { compressors, zlib_level: self.zlib_level })
    }
}

impl Agreement {
    /// The sealed message in its envelope; `None` if it is to be sent as it is. Small messages are
    /// compressed too, even if that gains nothing: servers answer as they were asked.
    pub fn compress(&self, message: &Message) -> Option<Vec<u8>> {
        let compressor = *self.0.compressors.first()?;
        if is_secret_or_greeting(message.name()) {
            return None;
        }
        let (head, tail) = message.parts();
        let (header, head) = head.split_at(HEADER);
        let mut envelope = compressor.compress(head, tail, self.0.zlib_level, ENVELOPE)?;
        let size = head.len() + tail.len();
        // What compression makes too long for the server may still go uncompressed.
        let length = i32::try_from(envelope.len()).ok().filter(|_| envelope.len() <= LONGEST)?;
        envelope[..12].copy_from_slice(&header[..12]);
        envelope[..4].copy_from_slice(&length.to_le_bytes());
        envelope[12..16].copy_from_slice(&OP_COMPRESSED.to_le_bytes());
        envelope[16..20].copy_from_slice(&header[12..]);
        envelope[20..24].copy_from_slice(&(size as u32).to_le_bytes());
        envelope[24] = compressor as u8;
        Some(envelope)
    }

    /// A frame without its envelope, if it has one. No more is allocated than the envelope says,
    /// and that is checked first.
    pub fn decompress(&self, frame: Buffer) -> Result<Buffer> {
        let Some((envelope, data)) = frame.split_first_chunk::<ENVELOPE>() else {
            return Ok(frame);
        };
        let int32 = |at: usize| i32::from_le_bytes(envelope[at..at + 4].try_into().expect("four"));
        if int32(12) != OP_COMPRESSED {
            return Ok(frame);
        }
        if int32(16) != OP_MSG {
            let text = format!("the reply has opcode {} in its envelope, not OP_MSG", int32(16));
            return Err(Error::protocol(text));
        }
        let (said, id) = (int32(20), envelope[24]);
        let size =
            usize::try_from(said).ok().filter(|size| SIZES.contains(size)).ok_or_else(|| {
                Error::protocol(format!(
                    "an uncompressed reply of {said} bytes is outside {SIZES:?}"
                ))
            })?;
        let agreed = |compressor: &&Compressor| **compressor as u8 == id;
        let compressor = *self.0.compressors.iter().find(agreed).ok_or_else(|| {
            Error::protocol(format!("the reply uses compressor {id}, which was not agreed on"))
        })?;
        let mut plain = frame.another(HEADER + size);
        plain.extend_from_slice(&envelope[..HEADER]);
        plain[..4].copy_from_slice(&((HEADER + size) as u32).to_le_bytes());
        plain[12..].copy_from_slice(&OP_MSG.to_le_bytes());
        plain.resize(HEADER + size, 0);
        match compressor.decompress(data, &mut plain[HEADER..]) {
            Some(()) => Ok(plain),
            None => Err(Error::protocol(format!(
                "the reply's {} data is damaged or does not make the {size} bytes that it says",
                compressor.name()
            ))),
        }
    }
}

/// Commands that the specification never compresses: compressed secrets leak through their length.
fn is_secret_or_greeting(command: &str) -> bool {
    NEVER.iter().any(|name| command.eq_ignore_ascii_case(name))
}

const NEVER: [&str; 11] = [
    "hello",
    "ismaster",
    "saslstart",
    "saslcontinue",
    "getnonce",
    "authenticate",
    "createuser",
    "updateuser",
    "copydb",
    "copydbgetnonce",
    "copydbsaslstart",
];
pub const OP_COMPRESSED: i32 = 2012;
/// Header, original opcode, uncompressed size, compressor.
const ENVELOPE: usize = HEADER + 4 + 4 + 1;
/// Of a message without its header: from an OP_MSG with an empty document to the longest frame.
const SIZES: std::ops::RangeInclusive<usize> = BODY + 5 - HEADER..=LONGEST - HEADER;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::net::buffers::Buffers;
    use crate::wire::compressor::ALL;
    use crate::wire::reply::Reply;

    fn agreed(compressors: &[Compressor]) -> Agreement {
        Agreement(Offer { compressors: compressors.to_vec(), zlib_level: -1 })
    }

    fn sealed(mut message: Message) -> Message {
        let appended = message.seal(7, |out, _| {
            elements::string(out, "$db", "test");
            Ok(())
        });
        appended.unwrap();
        message
    }

    fn joined(message: &Message) -> Vec<u8> {
        [message.parts().0, message.parts().1].concat()
    }

    fn frame(bytes: &[u8]) -> Buffer {
        let mut buffer = Arc::new(Buffers::default()).take(bytes.len());
        buffer.extend_from_slice(bytes);
        buffer
    }

    fn insert(documents: Vec<u8>) -> Message {
        let command = Message::from_elements(|out| elements::string(out, "insert", "c"));
        sealed(command.with_sequence("documents", documents))
    }

    /// A reply to request 5, as a server would send it.
    fn reply(compressor: Compressor) -> Vec<u8> {
        let message = Message::from_elements(|out| {
            elements::int32(out, "ok", 1);
            elements::string(out, "text", &"tea ".repeat(20));
        });
        let mut bytes = agreed(&[compressor]).compress(&sealed(message)).unwrap();
        bytes[8..12].copy_from_slice(&5_i32.to_le_bytes());
        bytes
    }

    /// The same with another payload and another claim of its size.
    fn lie(compressor: Compressor, size: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = reply(compressor)[..ENVELOPE].to_vec();
        bytes[20..24].copy_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        let Err(error) = agreed(&ALL).decompress(frame(bytes)) else { panic!("accepted") };
        assert_eq!(error.kind(), crate::error::ErrorKind::Protocol);
        error.message().to_owned()
    }

    #[test]
    fn every_compressor_gives_back_what_it_took() {
        let noise: Vec<u8> = (0..300_000).map(|_| fastrand::u8(..)).collect();
        let messages = [
            sealed(Message::from_elements(|out| elements::int32(out, "ping", 1))),
            sealed(Message::from_elements(|out| {
                elements::string(out, "find", &"a".repeat(200_000))
            })),
            insert(b"some documents ".repeat(50_000)),
            insert(noise),
            insert(vec![1]),
        ];
        for compressor in ALL {
            for message in &messages {
                for zlib_level in -1..=9 {
                    let agreed = Agreement(Offer { compressors: vec![compressor], zlib_level });
                    let envelope = agreed.compress(message).unwrap();
                    assert_eq!(envelope[..4], (envelope.len() as u32).to_le_bytes());
                    assert_eq!(envelope[4..8], 7_i32.to_le_bytes());
                    let plain = agreed.decompress(frame(&envelope)).unwrap();
                    assert!(*plain == joined(message), "{compressor:?}");
                    if compressor != Compressor::Zlib {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn repetitive_messages_shrink() {
        let documents = b"some documents ".repeat(50_000);
        let message = insert(documents);
        for compressor in ALL {
            let length = agreed(&[compressor]).compress(&message).unwrap().len();
            assert!(length * 10 < joined(&message).len(), "{compressor:?}: {length}");
        }
    }

    #[test]
    fn the_client_s_order_decides_among_what_both_know() {
        use Compressor::{Snappy, Zlib, Zstd};
        let offer = Offer { compressors: vec![Zstd, Zlib, Snappy], zlib_level: 3 };
        for (answer, common) in [
            (bson::rawdoc! { "compression": ["snappy", "zlib", "lz4"] }, vec![Zlib, Snappy]),
            (bson::rawdoc! { "compression": ["snappy", 7, "zstd"] }, vec![Zstd, Snappy]),
            (bson::rawdoc! { "compression": [] }, vec![]),
            (bson::rawdoc! { "compression": "zlib" }, vec![]),
            (bson::rawdoc! { "ok": 1 }, vec![]),
        ] {
            assert_eq!(offer.agree(&answer).0.compressors, common, "{answer:?}");
        }
        let mut hello = Vec::new();
        elements::open_document(&mut hello, |out| offer.append(out));
        let hello = RawDocument::from_bytes(&hello).unwrap();
        let expected = bson::rawdoc! { "compression": ["zstd", "zlib", "snappy"] };
        assert_eq!(hello.as_bytes(), expected.as_bytes());
        elements::open_document(&mut Vec::new(), |out| {
            let before = out.len();
            Offer::default().append(out);
            assert_eq!(out.len(), before);
        });
    }

    #[test]
    fn greetings_secrets_and_the_not_agreed_go_plain() {
        for name in ["hello", "isMaster", "saslStart", "saslContinue", "createUser", "copydb"] {
            let message = sealed(Message::from_elements(|out| elements::int32(out, name, 1)));
            assert!(agreed(&ALL).compress(&message).is_none(), "{name}");
        }
        let ping = sealed(Message::from_elements(|out| elements::int32(out, "ping", 1)));
        assert!(agreed(&ALL).compress(&ping).is_some());
        assert!(Agreement::default().compress(&ping).is_none());
    }

    #[test]
    fn a_message_that_grows_over_the_limit_goes_plain() {
        let noise: Vec<u8> = (0..LONGEST - 100).map(|_| fastrand::u8(..)).collect();
        assert!(agreed(&[Compressor::Snappy]).compress(&insert(noise)).is_none());
    }

    #[test]
    fn replies_may_come_uncompressed_or_by_any_agreed_compressor() {
        let plain = joined(&sealed(Message::from_elements(|out| elements::int32(out, "ok", 1))));
        assert_eq!(*agreed(&ALL).decompress(frame(&plain)).unwrap(), plain);
        for compressor in ALL {
            let bytes = reply(compressor);
            let mut opened =
                Reply::parse(agreed(&ALL).decompress(frame(&bytes)).unwrap(), 5, false).unwrap();
            opened.check().unwrap();
            let others: Vec<_> = ALL.into_iter().filter(|other| *other != compressor).collect();
            for agreement in [agreed(&others), Agreement::default()] {
                let Err(error) = agreement.decompress(frame(&bytes)) else { panic!("accepted") };
                assert!(error.message().contains("not agreed"), "{}", error.message());
            }
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_before_anything_is_made() {
        for size in [i32::MIN, -1, 0, 9, 48_000_000 - 15, i32::MAX] {
            assert!(refusal(&lie(Compressor::Zstd, size, b"data")).contains("outside"), "{size}");
        }
        let mut other_opcode = reply(Compressor::Zstd);
        other_opcode[16..20].copy_from_slice(&OP_COMPRESSED.to_le_bytes());
        assert!(refusal(&other_opcode).contains("opcode 2012"));
    }

    #[test]
    fn data_must_make_what_it_says_and_no_more() {
        for compressor in ALL {
            let message = insert(vec![b'a'; 1_000_000]);
            let bomb = agreed(&[compressor]).compress(&message).unwrap();
            let size = joined(&message).len() as i32 - HEADER as i32;
            let data = &bomb[ENVELOPE..];
            for lies in [10, 1000, size - 1, size + 1, 40_000_000] {
                assert!(refusal(&lie(compressor, lies, data)).contains("damaged"), "{lies}");
            }
            let followed = [data, b"x"].concat();
            assert!(refusal(&lie(compressor, size, &followed)).contains("damaged"));
            assert!(refusal(&lie(compressor, size, b"")).contains("damaged"));
            assert!(agreed(&ALL).decompress(frame(&lie(compressor, size, data))).is_ok());
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_byte_is_survived() {
        for compressor in ALL {
            let bytes = reply(compressor);
            for end in 0..bytes.len() {
                let parsed = agreed(&ALL)
                    .decompress(frame(&bytes[..end]))
                    .and_then(|plain| Reply::parse(plain, 5, false));
                assert!(parsed.is_err(), "{compressor:?}, {end} of {}", bytes.len());
            }
            for at in 0..bytes.len() {
                for flip in 1..=255 {
                    let mut broken = bytes.clone();
                    broken[at] ^= flip;
                    if let Ok(plain) = agreed(&ALL).decompress(frame(&broken))
                        && let Ok(mut parsed) = Reply::parse(plain, 5, false)
                    {
                        let _ = parsed.check();
                    }
                }
            }
        }
    }
}
