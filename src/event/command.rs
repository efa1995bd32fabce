//! Events of the commands that operations send (command logging and monitoring specification). They
//! hold copies of the bytes; documents are made of them when a listener gets them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::RawDocument;
use bson::oid::ObjectId;

use super::Publisher;
use crate::error::Error;
use crate::topology::address::Address;
use crate::wire::message::{Message, Sequence};
use crate::wire::reply::Reply;

#[derive(Clone, Debug)]
pub struct CommandEvent {
    pub about: Arc<About>,
    pub what: CommandChange,
}

/// What the events of one command have in common.
#[derive(Debug)]
pub struct About {
    pub name: String,
    pub database: String,
    pub request_id: i32,
    /// The same for all attempts and batches of an operation.
    pub operation_id: i32,
    pub address: Address,
    pub driver_connection_id: u64,
    pub server_connection_id: Option<i64>,
    pub service_id: Option<ObjectId>,
    /// Authentication within a handshake is for listeners only, as with PyMongo.
    pub of_an_operation: bool,
}

#[derive(Clone, Debug)]
pub enum CommandChange {
    Started {
        /// `None` if it is not for others' eyes.
        body: Option<Vec<u8>>,
        /// What stands beside the body.
        documents: Vec<Sequence>,
    },
    Succeeded {
        duration: Duration,
        reply: Answer,
    },
    Failed {
        duration: Duration,
        error: Error,
    },
}

#[derive(Clone, Debug)]
pub enum Answer {
    Document(Vec<u8>),
    /// The server was asked not to answer.
    Unasked,
    /// Not for others' eyes.
    Hidden,
}

/// A command on its way whose events are wanted. Dropped before its end, it was cancelled.
pub struct Watch {
    events: Publisher,
    about: Arc<About>,
    /// Its reply is not for others' eyes.
    secret: bool,
    started: Instant,
}

impl Watch {
    /// To be called right before `message` is sent.
    pub fn start(events: &Publisher, about: About, message: &Message) -> Watch {
        let hidden = about.is_sensitive();
        let secret = hidden || about.authenticates(message);
        let (about, started) = (Arc::new(about), Instant::now());
        let watch = Watch { events: events.clone(), about, secret, started };
        watch.tell(CommandChange::Started {
            body: (!hidden).then(|| message.body().to_vec()),
            documents: if hidden { Vec::new() } else { message.sequences().to_vec() },
        });
        watch
    }

    pub fn succeeded(&self, reply: Option<&Reply>) {
        let reply = match reply {
            None => Answer::Unasked,
            Some(_) if self.secret => Answer::Hidden,
            Some(reply) => Answer::Document(reply.body().as_bytes().to_vec()),
        };
        self.tell(CommandChange::Succeeded { duration: self.started.elapsed(), reply });
    }

    /// A write concern that did not hold is no failure of the command.
    pub fn failed(&self, error: &Error) {
        let (duration, error) = (self.started.elapsed(), error.clone());
        self.tell(match error.reply() {
            Some(reply) if error.is_write_concern() => {
                let reply = Answer::Document(reply.as_bytes().to_vec());
                CommandChange::Succeeded { duration, reply }
            }
            _ => CommandChange::Failed { duration, error },
        });
    }

    fn tell(&self, what: CommandChange) {
        self.events.command(CommandEvent { about: self.about.clone(), what });
    }
}

impl About {
    /// Commands that carry secrets, as the specification lists them.
    fn is_sensitive(&self) -> bool {
        SENSITIVE.iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// A hello that authenticates at once: PyMongo's classes hide it by its content, its reply not.
    fn authenticates(&self, message: &Message) -> bool {
        HELLO.iter().any(|name| self.name.eq_ignore_ascii_case(name))
            && RawDocument::from_bytes(message.body())
                .is_ok_and(|hello| matches!(hello.get("speculativeAuthenticate"), Ok(Some(_))))
    }
}

const HELLO: [&str; 2] = ["hello", "isMaster"];
const SENSITIVE: [&str; 9] = [
    "authenticate",
    "saslStart",
    "saslContinue",
    "getnonce",
    "createUser",
    "updateUser",
    "copydbgetnonce",
    "copydbsaslstart",
    "copydb",
];
