//! What a cursor knows between its commands: the batch that is read, what later commands are sent with,
//! and what is still open on the server.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::ahead::Ahead;
use super::batch::Batch;
use super::close::{self, Held};
use super::get_more;
use super::unread::{Reader, Unread};
use crate::deadline::TimeLimit;
use crate::error::{Error, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Outcome, Terms};
use crate::net::fork;
use crate::session::client::Session;
use crate::topology::address::Address;

#[derive(Default)]
pub struct State {
    pub started: bool,
    pub origin: Option<Origin>,
    pub batch: Option<Box<Unread>>,
    /// How many items of the batch are left: documents, or the raw batch as one. None of them is here
    /// while some are decoded.
    pub left: usize,
    /// The next batch is being fetched, or about to be.
    pub fetching: Option<Arc<Fetching>>,
    /// The next batch was asked for before it was needed.
    pub ahead: Option<Ahead>,
    /// The caller will read on for as long as there are documents.
    pub reads_ahead: bool,
    /// Documents were lost on their way to the caller.
    pub cut: bool,
    /// The server's cursor, until it is read to its end.
    held: Option<Held>,
    pub closed: bool,
    /// What the server still has of a cursor that an error has ended.
    left_open: Option<Left>,
    /// A tailable cursor has nothing now: iteration ends, and the next call asks again.
    pub dry: bool,
    /// Items, too.
    pub retrieved: usize,
    pub cursor_id: Option<i64>,
    pub address: Option<Address>,
}

/// A server's cursor for somebody to close, and the client to do it with.
pub type Left = (Arc<ClientCore>, Held);

/// One caller's right to fetch.
pub struct Fetching {
    /// Set at the first poll.
    pub begun: AtomicBool,
    pub born_in: u64,
}

/// How a cursor is read.
#[derive(Clone)]
pub struct Options {
    pub batch_size: i64,
    /// Of all documents; 0 is no limit.
    pub limit: i64,
    /// Encoded elements that every getMore carries.
    pub extra: Vec<u8>,
    /// An empty batch is a pause, not the end.
    pub tailable: bool,
    /// Whole batches are handed out, undecoded.
    pub raw: bool,
    pub reader: Reader,
}

impl Options {
    /// Of a cursor of the engine's own: all of it is read, and whole batches are taken.
    pub fn plain() -> Options {
        Options {
            batch_size: 0,
            limit: 0,
            extra: Vec::new(),
            tailable: false,
            raw: false,
            reader: Arc::new(()),
        }
    }
}

/// What the first command was sent with, and the later ones are.
pub struct Origin {
    /// That of the latest command: a child that goes on with its parent's cursor has its own.
    core: Arc<ClientCore>,
    pub terms: Terms,
    /// Where getMores go unless the server returns a namespace.
    collection: String,
    pub options: Options,
    born_in: u64,
}

impl Origin {
    pub fn new(core: Arc<ClientCore>, first: &Operation, options: Options) -> Origin {
        let collection = get_more::collection_of(&first.message);
        let (terms, born_in) = (first.terms.clone(), fork::generation());
        Origin { core, terms, collection, options, born_in }
    }

    /// `cursor_command`: the command is the user's, and need not open a cursor.
    fn runs_any_command(&self) -> bool {
        self.terms.kind == CommandKind::Command
    }
}

impl State {
    pub fn install(&mut self, outcome: Result<Outcome>) -> Result<()> {
        let any_command = self.runs_any_command();
        let batch = outcome.and_then(|outcome| {
            let (address, pinned) = (outcome.server.address.clone(), outcome.pinned.clone());
            let reply = outcome.into_reply()?;
            if any_command && reply.body().get_document("cursor").is_err() {
                return Err(Error::invalid_operation("the command does not return a cursor"));
            }
            Ok((Batch::of(reply)?, address, pinned))
        });
        let (batch, address, pinned) = match batch {
            Ok(batch) => batch,
            Err(error) => return self.fail(error),
        };
        let Some(origin) = &self.origin else { return Ok(()) }; // rewound meanwhile
        let Options { limit, tailable, raw, .. } = origin.options;
        let items = if raw { batch.count.min(1) } else { batch.count };
        self.retrieved += items;
        self.dry = tailable && batch.count == 0;
        self.cursor_id = Some(batch.cursor_id);
        let held = (batch.cursor_id != 0).then(|| {
            let (database, collection) = batch.place((&origin.terms.database, &origin.collection));
            Held {
                id: batch.cursor_id,
                database: database.into(),
                collection: collection.to_owned(),
                address: address.clone(),
                session: origin.terms.session.clone(),
                pinned,
            }
        });
        self.address = Some(address);
        if self.closed {
            // Closed before its answer came.
            held.into_iter().for_each(|held| close::kill_later(origin.core.clone(), held));
            return Ok(());
        }
        let limit = usize::try_from(limit).ok().filter(|&limit| limit > 0);
        let enough = limit.is_some_and(|limit| self.retrieved >= limit);
        let reader = origin.options.reader.clone();
        self.held = held;
        self.left = items;
        self.batch = Some(Box::new(Unread { batch, reader, at: 0, raw }));
        if enough && let Some((core, held)) = self.take_held() {
            close::kill_later(core, held);
        }
        if self.held.is_none() {
            self.release_session();
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) -> Result<()> {
        let exhaust = self.origin.as_ref().is_some_and(|origin| origin.terms.exhaust);
        let stays = close::leaves_it_open(&error) || error.is_nonsense();
        let held = self.take_held().filter(|_| !exhaust && stays);
        self.left_open = held;
        let tailable = self.origin.as_ref().is_some_and(|origin| origin.options.tailable);
        // A capped collection has overtaken its reader, who is not told more than that this was all.
        let overtaken = tailable && !self.runs_any_command() && close::says_it_has_gone(&error);
        self.end();
        if overtaken { Ok(()) } else { Err(error) }
    }

    pub fn take_left_open(&mut self) -> Option<Left> {
        self.left_open.take()
    }

    fn runs_any_command(&self) -> bool {
        self.origin.as_ref().is_some_and(Origin::runs_any_command)
    }

    /// Only find's cursors let iteration end when there is nothing now.
    pub fn waits_for_more(&self) -> bool {
        self.runs_any_command() && self.more_to_fetch()
    }

    /// The changes so far were read. There may be more, but a list of them all will never be whole.
    pub fn has_caught_up(&self) -> bool {
        self.left == 0 && self.is_of_changes()
    }

    fn is_of_changes(&self) -> bool {
        self.batch.as_ref().is_some_and(|unread| unread.batch.is_of_changes())
    }

    /// An implicit session goes back to its pool as soon as the server's cursor is gone.
    fn release_session(&mut self) {
        if let Some(origin) = &mut self.origin
            && origin.terms.session.implicit
        {
            origin.terms.session = Session::implicit(origin.core.sessions.clone());
        }
    }

    /// Nothing more is asked of the server; what has come can still be read.
    pub fn end(&mut self) {
        self.closed = true;
        self.held = None;
        self.ahead = None;
        self.release_session();
    }

    /// The server's cursor, if it is still there, for somebody to close.
    pub fn take_held(&mut self) -> Option<Left> {
        let held = self.held.take()?;
        let origin = self.origin.as_ref().filter(|origin| origin.born_in == fork::generation())?;
        Some((origin.core.clone(), held))
    }

    pub fn closer(&self) -> Option<Arc<ClientCore>> {
        let left = self.held.is_some() || self.ahead.is_some();
        self.origin.as_ref().filter(|_| left).map(|origin| origin.core.clone())
    }

    pub fn more_to_fetch(&self) -> bool {
        !self.closed && (!self.started || self.held.is_some() || self.fetching.is_some())
    }

    pub fn get_more(&mut self, core: &Arc<ClientCore>, limit: TimeLimit) -> Option<Operation> {
        let (origin, held) = (self.origin.as_mut()?, self.held.as_ref()?);
        origin.core = core.clone();
        let retrieved = i64::try_from(self.retrieved).unwrap_or(i64::MAX);
        let options = &origin.options;
        let size = get_more::next_batch_size(options.batch_size, options.limit, retrieved);
        let mut message = get_more::message(held.id, &held.collection, size, &options.extra);
        if options.raw {
            message = message.with_raw_batches();
        }
        // A forked child has no part in its parent's connection.
        if origin.terms.exhaust && held.pinned.as_ref().is_some_and(|pinned| pinned.is_home()) {
            message = message.with_replies_to_come();
        }
        let terms = Terms {
            kind: CommandKind::GetMore,
            limit,
            database: held.database.clone(),
            server: Some(held.address.clone()),
            pinned: held.pinned.clone(),
            opens_cursor: false,
            ..origin.terms.clone()
        };
        Some(Operation { message, terms })
    }

    /// The getMore that may be sent before its batch is needed: the caller still wants `wanted` items, of which
    /// this batch has fewer. In a session of the user's, and over a connection of the cursor's own, one command
    /// must come after the other.
    pub fn get_more_ahead(
        &mut self,
        limit: TimeLimit,
        wanted: usize,
    ) -> Option<(Arc<ClientCore>, Operation)> {
        let origin = self.origin.as_ref()?;
        let alone = origin.terms.session.implicit
            && !origin.options.tailable
            && self.held.as_ref().is_some_and(|held| held.pinned.is_none());
        // The time of a later call is not known yet, and what the caller does until then is not the server's.
        let timeless = !limit.is_finite() && origin.core.settings.socket_timeout.is_none();
        let items = if self.reads_ahead && timeless { usize::MAX } else { wanted };
        if !alone || self.left >= items || self.is_of_changes() {
            return None;
        }
        let core = origin.core.clone();
        let operation = self.get_more(&core, limit)?;
        Some((core, operation))
    }
}
