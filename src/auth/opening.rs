//! What a hello says about authentication, and what its answer leaves to do.
//!
//! The first command travels within the hello ("speculative"), which saves a round trip.

use std::sync::Arc;

use bson::RawDocument;
use bson::raw::RawBsonRef;

use super::conversation::{Conversation, Next};
use super::credentials::{Credentials, Mechanism};
use super::scram::Entropy;
use crate::error::Result;
use crate::wire::elements;

pub struct Opening {
    credentials: Arc<Credentials>,
    speculative: Option<Conversation>,
}

impl Opening {
    pub fn new(credentials: Arc<Credentials>, entropy: &Entropy) -> Opening {
        let mechanism = credentials.mechanism.unwrap_or(Mechanism::ScramSha256);
        // A password is not to be sent before anybody asked for it.
        let speculative = (mechanism != Mechanism::Plain)
            .then(|| Conversation::new(credentials.clone(), mechanism, entropy));
        Opening { credentials, speculative }
    }

    pub fn append(&self, out: &mut Vec<u8>) {
        let Credentials { mechanism, source, .. } = &*self.credentials;
        if mechanism.is_none() {
            let user = format!("{source}.{}", self.credentials.user());
            elements::string(out, "saslSupportedMechs", &user);
        }
        if let Some(conversation) = &self.speculative {
            elements::nested(out, "speculativeAuthenticate", |out| {
                conversation.append_first(out);
                if conversation.mechanism != Mechanism::X509 {
                    elements::string(out, "db", source);
                }
            });
        }
    }

    /// The conversation that goes on, and with what; `entropy` is for one that starts anew.
    pub fn answered(self, hello: &RawDocument, entropy: &Entropy) -> Result<(Conversation, Next)> {
        if let Some(mut conversation) = self.speculative
            && let Ok(reply) = hello.get_document("speculativeAuthenticate")
        {
            let next = conversation.heard(reply)?;
            return Ok((conversation, next));
        }
        let mechanism = self.credentials.mechanism.unwrap_or_else(|| negotiated(hello));
        let conversation = Conversation::new(self.credentials, mechanism, entropy);
        let next = conversation.first();
        Ok((conversation, next))
    }
}

/// Of a user nobody knows nothing is offered: SHA-1 is tried then, and refused by the server.
fn negotiated(hello: &RawDocument) -> Mechanism {
    let wanted = RawBsonRef::String(Mechanism::ScramSha256.name());
    let offers_sha256 = hello
        .get_array("saslSupportedMechs")
        .is_ok_and(|offered| offered.into_iter().flatten().any(|name| name == wanted));
    if offers_sha256 { Mechanism::ScramSha256 } else { Mechanism::ScramSha1 }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn opening(mechanism: Option<Mechanism>) -> Opening {
        let credentials = Credentials {
            mechanism,
            source: "shop".to_owned(),
            user: Some("u.v".to_owned()),
            password: "p".to_owned().into(),
        };
        Opening::new(Arc::new(credentials), &[0; 24])
    }

    fn said(opening: &Opening) -> bson::Document {
        let mut bytes = Vec::new();
        elements::open_document(&mut bytes, |out| opening.append(out));
        bson::Document::try_from(RawDocument::from_bytes(&bytes).unwrap()).unwrap()
    }

    fn mechanism_after(mechanism: Option<Mechanism>, hello: &RawDocument) -> Mechanism {
        opening(mechanism).answered(hello, &[1; 24]).unwrap().0.mechanism
    }

    #[test]
    fn a_hello_asks_for_mechanisms_only_when_none_was_named() {
        let unnamed = said(&opening(None));
        assert_eq!(unnamed.get_str("saslSupportedMechs").unwrap(), "shop.u.v");
        let speculative = unnamed.get_document("speculativeAuthenticate").unwrap();
        assert_eq!(speculative.get_str("mechanism").unwrap(), "SCRAM-SHA-256");
        assert_eq!(speculative.get_str("db").unwrap(), "shop");
        let named = said(&opening(Some(Mechanism::ScramSha1)));
        assert!(named.get("saslSupportedMechs").is_none());
        let speculative = named.get_document("speculativeAuthenticate").unwrap();
        assert_eq!(speculative.get_str("mechanism").unwrap(), "SCRAM-SHA-1");
        let x509 = said(&opening(Some(Mechanism::X509)));
        let speculative = x509.get_document("speculativeAuthenticate").unwrap();
        let expected = bson::doc! { "authenticate": 1, "mechanism": "MONGODB-X509", "user": "u.v" };
        assert_eq!(speculative, &expected);
    }

    #[test]
    fn a_password_is_never_in_a_hello() {
        assert!(said(&opening(Some(Mechanism::Plain))).is_empty());
    }

    #[test]
    fn the_better_mechanism_of_those_offered_is_taken() {
        let both = rawdoc! { "saslSupportedMechs": ["SCRAM-SHA-1", "SCRAM-SHA-256"] };
        let old = rawdoc! { "saslSupportedMechs": ["SCRAM-SHA-1"] };
        let none = rawdoc! { "ok": 1 };
        assert_eq!(mechanism_after(None, &both), Mechanism::ScramSha256);
        assert_eq!(mechanism_after(None, &old), Mechanism::ScramSha1);
        assert_eq!(mechanism_after(None, &none), Mechanism::ScramSha1);
        assert_eq!(mechanism_after(Some(Mechanism::ScramSha256), &old), Mechanism::ScramSha256);
    }

    #[test]
    fn an_answered_first_step_is_not_repeated() {
        let hello = rawdoc! { "speculativeAuthenticate": { "dbname": "$external" }, "ok": 1 };
        let (_, next) = opening(Some(Mechanism::X509)).answered(&hello, &[1; 24]).unwrap();
        assert!(matches!(next, Next::Done));
        let (_, next) = opening(Some(Mechanism::X509)).answered(&rawdoc! {}, &[1; 24]).unwrap();
        assert!(matches!(next, Next::Send(_)));
    }
}
