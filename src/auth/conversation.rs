//! One authentication as a step machine: a command, its reply, the next command.

use std::sync::Arc;

use bson::RawDocument;

use super::credentials::{Credentials, Mechanism};
use super::sasl::{self, Challenge};
use super::scram::{Entropy, Scram};
use super::scram_keys::{Hash, Keys, Recipe};
use super::{plain, x509};
use crate::error::{Error, Result};
use crate::wire::elements;
use crate::wire::message::Message;

pub struct Conversation {
    pub mechanism: Mechanism,
    credentials: Arc<Credentials>,
    /// `None` for mechanisms that say everything at once.
    scram: Option<Scram>,
    step: Step,
    /// The server's number for it.
    number: i32,
}

/// What `heard` will be about.
#[derive(Clone, Copy)]
enum Step {
    First,
    Final,
    Empty,
}

pub enum Next {
    /// Run this on the credentials' source; tell `heard` the reply.
    Send(Message),
    /// Make these keys, which takes long; tell `derived`.
    Derive(Recipe),
    Done,
}

impl Conversation {
    pub fn new(credentials: Arc<Credentials>, mechanism: Mechanism, entropy: &Entropy) -> Self {
        let scram = match mechanism {
            Mechanism::ScramSha1 => Some(Hash::Sha1),
            Mechanism::ScramSha256 => Some(Hash::Sha256),
            Mechanism::X509 | Mechanism::Plain => None,
        }
        .map(|hash| Scram::new(hash, credentials.user(), entropy));
        Conversation { mechanism, credentials, scram, step: Step::First, number: 0 }
    }

    pub fn first(&self) -> Next {
        Next::Send(Message::from_elements(|out| self.append_first(out)))
    }

    /// The first command's elements, for those who send it within another one.
    pub fn append_first(&self, out: &mut Vec<u8>) {
        match (&self.scram, self.mechanism) {
            (Some(scram), _) => {
                sasl::append_start(out, self.mechanism, scram.client_first().as_bytes());
                elements::nested(out, "options", |out| {
                    elements::boolean(out, "skipEmptyExchange", true);
                });
            }
            (None, Mechanism::X509) => x509::append_command(out, &self.credentials),
            (None, _) => {
                sasl::append_start(out, self.mechanism, &plain::payload(&self.credentials))
            }
        }
    }

    /// `reply` is that of a command that succeeded.
    pub fn heard(&mut self, reply: &RawDocument) -> Result<Next> {
        let Some(scram) = &mut self.scram else { return Ok(Next::Done) };
        let challenge = Challenge::read(reply)?;
        match self.step {
            Step::First => {
                self.number = challenge.conversation;
                scram.server_first(challenge.payload).map(Next::Derive)
            }
            Step::Final => {
                scram.server_final(challenge.payload)?;
                if challenge.done {
                    return Ok(Next::Done);
                }
                // A server that does not know skipEmptyExchange wants one more round.
                self.step = Step::Empty;
                Ok(Next::Send(sasl::continuation(self.number, b"")))
            }
            Step::Empty if challenge.done => Ok(Next::Done),
            Step::Empty => Err(Error::authentication("SASL conversation failed to complete.")),
        }
    }

    pub fn derived(&mut self, keys: Keys) -> Next {
        let scram = self.scram.as_mut().expect("only SCRAM asks for keys");
        self.step = Step::Final;
        let payload = scram.client_final(keys);
        Next::Send(sasl::continuation(self.number, payload.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use bson::raw::RawDocumentBuf;
    use bson::spec::BinarySubtype;
    use bson::{Binary, rawdoc};

    use super::*;

    fn credentials(user: Option<&str>, password: &str) -> Arc<Credentials> {
        Arc::new(Credentials {
            mechanism: None,
            source: "$external".to_owned(),
            user: user.map(str::to_owned),
            password: password.to_owned().into(),
        })
    }

    fn binary(payload: &[u8]) -> Binary {
        Binary { subtype: BinarySubtype::Generic, bytes: payload.to_vec() }
    }

    fn command(next: Next) -> RawDocumentBuf {
        let Next::Send(mut message) = next else { panic!("a command was expected") };
        message.seal(1, |_, _| Ok(())).unwrap();
        RawDocumentBuf::from_bytes(message.parts().0[crate::wire::message::BODY..].to_vec())
            .unwrap()
    }

    #[test]
    fn plain_says_everything_at_once() {
        let credentials = credentials(Some("ann é"), "p w\0");
        let mut plain = Conversation::new(credentials, Mechanism::Plain, &[0; 24]);
        let expected = rawdoc! {
            "saslStart": 1, "mechanism": "PLAIN", "payload": binary("\0ann é\0p w\0".as_bytes()),
            "autoAuthorize": 1,
        };
        assert_eq!(command(plain.first()), expected);
        assert!(matches!(plain.heard(&rawdoc! { "ok": 1 }), Ok(Next::Done)));
    }

    #[test]
    fn x509_names_the_user_if_it_has_one() {
        let named = Conversation::new(credentials(Some("CN=a"), ""), Mechanism::X509, &[0; 24]);
        let expected = rawdoc! { "authenticate": 1, "mechanism": "MONGODB-X509", "user": "CN=a" };
        assert_eq!(command(named.first()), expected);
        let mut nameless = Conversation::new(credentials(None, ""), Mechanism::X509, &[0; 24]);
        let expected = rawdoc! { "authenticate": 1, "mechanism": "MONGODB-X509" };
        assert_eq!(command(nameless.first()), expected);
        assert!(matches!(nameless.heard(&rawdoc! { "ok": 1 }), Ok(Next::Done)));
    }

    #[test]
    fn a_scram_conversation_up_to_the_proof() {
        let mut scram =
            Conversation::new(credentials(Some("u"), "p"), Mechanism::ScramSha256, &[0; 24]);
        let nonce = "A".repeat(32);
        let expected = rawdoc! {
            "saslStart": 1, "mechanism": "SCRAM-SHA-256",
            "payload": binary(format!("n,,n=u,r={nonce}").as_bytes()),
            "autoAuthorize": 1, "options": { "skipEmptyExchange": true },
        };
        assert_eq!(command(scram.first()), expected);
        let challenge = format!("r={nonce}more,s=QSXCR+Q6sek8bf92,i=4096");
        let reply = |payload: &str, done: bool| {
            rawdoc! { "conversationId": 7, "done": done, "payload": binary(payload.as_bytes()), "ok": 1.0 }
        };
        let Next::Derive(recipe) = scram.heard(&reply(&challenge, false)).unwrap() else {
            panic!("keys were to be asked for");
        };
        let keys = recipe.keys(&credentials(Some("u"), "p"), || true).unwrap().unwrap();
        let proof = command(scram.derived(keys));
        assert_eq!(proof.get_i32("saslContinue").unwrap(), 1);
        assert_eq!(proof.get_i32("conversationId").unwrap(), 7);
        let payload = proof.get_binary("payload").unwrap().bytes;
        assert!(payload.starts_with(format!("c=biws,r={nonce}more,p=").as_bytes()));
        assert!(scram.heard(&reply("v=AAAA", true)).is_err());
        assert!(scram.heard(&rawdoc! { "done": true }).is_err());
    }
}
