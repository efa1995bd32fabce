//! Events of the commands that operations send (command logging and monitoring specification). They
//! hold copies of the bytes; documents are made of them when a listener gets them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::{RawDocument, RawDocumentBuf};

use super::{Publisher, raw_batches};
use crate::error::{Error, ErrorKind};
use crate::net::fork;
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
    /// The operation was cancelled, or something interrupted it.
    CutShort {
        duration: Duration,
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

impl CommandEvent {
    pub(super) fn size(&self) -> usize {
        match &self.what {
            CommandChange::Started { body, documents } => {
                let documents: usize = documents.iter().map(|(_, bytes)| bytes.len()).sum();
                body.as_ref().map_or(0, Vec::len) + documents
            }
            CommandChange::Succeeded { reply: Answer::Document(bytes), .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// A command on its way whose events are wanted. Its beginning always gets an end: dropped before one
/// came, it was cut short.
pub struct Watch {
    events: Publisher,
    about: Arc<About>,
    /// Its reply is not for others' eyes.
    secret: bool,
    /// Its batch is shown as the caller gets it.
    raw_batches: bool,
    started: Instant,
    ended: bool,
    born_in: u64,
}

impl Watch {
    /// To be called right before `message` is sent.
    pub fn start(events: &Publisher, about: About, message: &Message) -> Watch {
        let hidden = about.is_sensitive();
        let secret = hidden || about.authenticates(message);
        let (about, started) = (Arc::new(about), Instant::now());
        let (events, born_in) = (events.clone(), fork::generation());
        let raw_batches = message.has_raw_batches();
        let watch = Watch { events, about, secret, raw_batches, started, ended: false, born_in };
        watch.tell(CommandChange::Started {
            body: (!hidden).then(|| message.body().to_vec()),
            documents: if hidden { Vec::new() } else { message.sequences().to_vec() },
        });
        watch
    }

    pub fn succeeded(mut self, reply: Option<&Reply>) {
        let reply = match reply {
            None => Answer::Unasked,
            Some(_) if self.secret => Answer::Hidden,
            Some(reply) => Answer::Document(self.shown(reply.body())),
        };
        self.end(CommandChange::Succeeded { duration: self.started.elapsed(), reply });
    }

    fn shown(&self, reply: &RawDocument) -> Vec<u8> {
        let raw = self.raw_batches.then(|| raw_batches::shown(reply).ok()).flatten();
        raw.map_or_else(|| reply.as_bytes().to_vec(), RawDocumentBuf::into_bytes)
    }

    /// A write concern that did not hold is no failure of the command.
    pub fn failed(mut self, error: &Error) {
        let (duration, error) = (self.started.elapsed(), error.clone());
        self.end(match error.reply() {
            Some(reply) if error.is_write_concern() => {
                let reply = Answer::Document(reply.as_bytes().to_vec());
                CommandChange::Succeeded { duration, reply }
            }
            _ => CommandChange::Failed { duration, error },
        });
    }

    fn end(&mut self, what: CommandChange) {
        self.ended = true;
        self.tell(what);
    }

    fn tell(&self, what: CommandChange) {
        self.events.command(CommandEvent { about: self.about.clone(), what });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // In a forked child the command is still the parent's.
        if !self.ended && self.born_in == fork::generation() {
            self.tell(CommandChange::CutShort { duration: self.started.elapsed() });
        }
    }
}

impl About {
    /// It was not interrupted: the connection, or its client, was closed.
    pub fn unexplained_end(&self) -> Error {
        let (kind, text) = match self.of_an_operation {
            true => (ErrorKind::Network, "connection closed"),
            false => (ErrorKind::NetworkTimeout, "timed out"), // of a handshake, which has a time limit
        };
        Error::new(kind, text).at(&self.address)
    }

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
