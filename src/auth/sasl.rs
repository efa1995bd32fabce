//! What SCRAM and PLAIN have in common: the commands around a SASL payload.

use bson::RawDocument;
use bson::raw::RawBsonRef;

use super::credentials::Mechanism;
use crate::error::{Error, Result};
use crate::wire::elements;
use crate::wire::message::Message;

/// The elements of saslStart, as a command or within a hello.
pub fn append_start(out: &mut Vec<u8>, mechanism: Mechanism, payload: &[u8]) {
    elements::int32(out, "saslStart", 1);
    elements::string(out, "mechanism", mechanism.name());
    elements::binary(out, "payload", payload);
    elements::int32(out, "autoAuthorize", 1);
}

pub fn continuation(conversation: i32, payload: &[u8]) -> Message {
    Message::from_elements(|out| {
        elements::int32(out, "saslContinue", 1);
        elements::int32(out, "conversationId", conversation);
        elements::binary(out, "payload", payload);
    })
}

/// The server's side of one step.
pub struct Challenge<'a> {
    pub conversation: i32,
    pub payload: &'a [u8],
    pub done: bool,
}

impl<'a> Challenge<'a> {
    pub fn read(reply: &'a RawDocument) -> Result<Challenge<'a>> {
        let malformed = || Error::authentication("The server's SASL reply is malformed.");
        let Ok(Some(RawBsonRef::Binary(payload))) = reply.get("payload") else {
            return Err(malformed());
        };
        Ok(Challenge {
            conversation: reply.get_i32("conversationId").map_err(|_| malformed())?,
            payload: payload.bytes,
            done: reply.get_bool("done").map_err(|_| malformed())?,
        })
    }
}
