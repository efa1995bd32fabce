//! One operation as the caller asked for it, and what came of it.

use std::sync::Arc;

use bson::RawDocumentBuf;

use crate::deadline::TimeLimit;
use crate::error::{Allowed, Error, Result};
use crate::event::Publisher;
use crate::event::selection::Asker;
use crate::pool::pinned::Pinned;
use crate::session::client::Session;
use crate::topology::address::Address;
use crate::topology::read_preference::ReadPreference;
use crate::topology::server::ServerDescription;
use crate::wire::message::Message;
use crate::wire::reply::Reply;

pub struct Operation {
    pub message: Message,
    pub terms: Terms,
}

/// Under which terms the command runs.
#[derive(Clone)]
pub struct Terms {
    pub database: Arc<str>,
    pub kind: CommandKind,
    pub session: Arc<Session>,
    /// Sent without a session's id, as the server would make a session of it.
    pub sessionless: bool,
    pub read_preference: Arc<ReadPreference>,
    /// Sent outside of transactions, where they say anything.
    pub read_concern: Option<Arc<RawDocumentBuf>>,
    pub write_concern: Option<Arc<RawDocumentBuf>>,
    /// It must run where an earlier one did (getMore).
    pub server: Option<Address>,
    /// The connection that the cursor keeps.
    pub pinned: Option<Arc<Pinned>>,
    /// Its reply may leave a cursor open.
    pub opens_cursor: bool,
    /// Its caller comes back for the answer, some time: it has a connection that others do not need, or none.
    pub ahead: bool,
    /// The cursor keeps its connection, over which the server sends batches unasked.
    pub exhaust: bool,
    /// Lets the server recognise a retried write; drawn at the first attempt.
    pub transaction_number: Option<i64>,
    /// Drawn once if listeners or loggers hear of it: they see what belongs together.
    pub operation_id: Option<i32>,
    /// For all attempts together.
    pub limit: TimeLimit,
    /// Errors of the command that count as success.
    pub allowed: Option<Arc<Allowed>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// Runs once, by read preference, with no concern added.
    Command,
    /// Reads on from a server's cursor: whether a lost one has moved it on, nobody knows.
    GetMore,
    /// Runs by read preference; `retry` if running it twice is harmless, `concern` if a read concern, or
    /// the time of a causally consistent session, may be sent with it.
    Read { retry: bool, concern: bool },
    /// An aggregate that ends in $out or $merge: goes by read preference unless a server is too old for
    /// that, has both concerns, and runs once.
    Output,
    /// Runs on the primary with a write concern; `retry` if the server can tell a retry.
    Write { retry: bool },
    /// Runs like a command, and is no operation of its session: a commit may still be repeated.
    KillCursors,
    /// commitTransaction and abortTransaction.
    EndTransaction { commit: bool },
}

impl Operation {
    pub fn asker(&self) -> Asker<'_> {
        Asker { operation: self.message.name(), operation_id: self.terms.operation_id }
    }
}

impl CommandKind {
    /// Whether a snapshot session sends its read concern with it: the server refuses what cannot be
    /// read there.
    pub fn may_name_a_snapshot(self) -> bool {
        matches!(self, CommandKind::Command | CommandKind::Read { .. })
    }
}

pub struct Outcome {
    /// `None` for an unacknowledged write.
    pub reply: Option<Reply>,
    /// The server that answered, as it was when its connection was made.
    pub server: Arc<ServerDescription>,
    /// The connection, if a cursor keeps it.
    pub pinned: Option<Arc<Pinned>>,
}

impl CommandKind {
    pub const FIND: CommandKind = CommandKind::Read { retry: true, concern: true };

    /// A read that may run twice. Servers know no read concern for lists and plans.
    pub fn read_of(command: &Message) -> CommandKind {
        let name = command.name();
        CommandKind::Read { retry: true, concern: name != "explain" && !name.starts_with("list") }
    }
}

impl Outcome {
    pub fn into_reply(self) -> Result<Reply> {
        self.reply.ok_or_else(|| Error::protocol("an answer was expected"))
    }
}

impl Terms {
    pub fn new(database: Arc<str>, kind: CommandKind, session: Arc<Session>) -> Terms {
        Terms {
            database,
            kind,
            session,
            sessionless: false,
            read_preference: Arc::default(),
            read_concern: None,
            write_concern: None,
            server: None,
            pinned: None,
            opens_cursor: false,
            ahead: false,
            exhaust: false,
            transaction_number: None,
            limit: TimeLimit::Unset,
            operation_id: None,
            allowed: None,
        }
    }

    pub fn number_for(&mut self, events: &Publisher) {
        let wanted = events.wants_commands() || events.wants_selections();
        if wanted && self.operation_id.is_none() {
            self.operation_id = Some(fastrand::i32(..));
        }
    }

    pub fn is_write(&self) -> bool {
        matches!(self.kind, CommandKind::Write { .. } | CommandKind::EndTransaction { .. })
    }
}
