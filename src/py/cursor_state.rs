//! What a cursor knows between its commands: the batch that is read, what later commands are sent with,
//! and what is still open on the server.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::scope::PyScope;
use crate::codec::{self, CodecSettings};
use crate::deadline::TimeLimit;
use crate::error::{Error, Result as CoreResult};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Outcome, Terms};
use crate::net::fork;
use crate::ops::cursor::batch::Batch;
use crate::ops::cursor::close::{self, Held};
use crate::ops::cursor::get_more;
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
    /// The next batch is being fetched, or about to be: set once the command was sent.
    pub fetching: Option<Arc<AtomicBool>>,
    /// Documents were lost on their way to the caller.
    pub cut: bool,
    /// The server's cursor, until it is read to its end.
    held: Option<Held>,
    pub closed: bool,
    /// What the server still has of a cursor that an error has ended.
    left_open: Option<(Arc<ClientCore>, Held)>,
    /// A tailable cursor has nothing now: iteration ends, and the next call asks again.
    pub dry: bool,
    /// Items, too.
    pub retrieved: usize,
    pub cursor_id: Option<i64>,
    pub address: Option<Address>,
}

/// What is left of a batch.
pub struct Unread {
    pub batch: Batch,
    codec: Arc<CodecSettings>,
    /// Where the next document starts.
    pub at: usize,
    raw: bool,
}

impl Unread {
    pub fn next<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.raw {
            return self.bytes(py).map(|bytes| Some(bytes.into_any()));
        }
        codec::decode_next_in_array(py, self.batch.documents(), &self.codec, &mut self.at)
    }

    /// As with PyMongo: decoders get the fields of an event, each of which is passed whatever they do. Without
    /// them it is a document like others.
    pub fn next_event<'py>(
        &mut self,
        py: Python<'py>,
    ) -> PyResult<Option<PyResult<Bound<'py, PyAny>>>> {
        let documents = self.batch.documents();
        if !self.codec.has_decoders() || self.at + 1 >= documents.len() {
            return self.next(py).map(|event| event.map(Ok));
        }
        let Some(event) = self.batch.document_at(self.at) else { return Ok(None) };
        let event = event.as_bytes();
        self.at = event.as_ptr() as usize - documents.as_ptr() as usize + event.len();
        Ok(Some(codec::decode_document(py, event, &self.codec)))
    }

    pub fn some<'py>(&mut self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyList>> {
        if self.raw {
            return PyList::new(py, [self.bytes(py)?]);
        }
        let documents = self.batch.documents();
        let slice = (SLICE_BYTES * self.batch.count / documents.len()).clamp(1, most);
        codec::decode_array_of_documents(py, documents, &self.codec, &mut self.at, slice)
    }

    /// All documents, end to end.
    fn bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let documents = self.batch.raw();
        PyBytes::new_with(py, documents.iter().map(|document| document.len()).sum(), |mut out| {
            for document in documents {
                let (here, rest) = out.split_at_mut(document.len());
                here.copy_from_slice(document);
                out = rest;
            }
            Ok(())
        })
    }
}

/// What the first command was sent with, and the later ones are.
pub struct Origin {
    pub scope: Py<PyScope>,
    pub terms: Terms,
    /// Where getMores go unless the server returns a namespace.
    pub collection: String,
    pub batch_size: i64,
    pub limit: i64,
    /// Encoded elements that every getMore carries.
    pub extra: Vec<u8>,
    /// An empty batch is a pause, not the end.
    pub tailable: bool,
    /// Whole batches are handed out, undecoded.
    pub raw: bool,
    pub born_in: u64,
}

impl Origin {
    /// That of this process: a child that goes on with its parent's cursor has connections of its own.
    pub fn core(&self) -> Arc<ClientCore> {
        self.scope.get().core()
    }
}

impl State {
    pub fn install(&mut self, outcome: CoreResult<Outcome>) -> CoreResult<()> {
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
        let items = if origin.raw { batch.count.min(1) } else { batch.count };
        self.retrieved += items;
        self.dry = origin.tailable && batch.count == 0;
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
            held.into_iter().for_each(|held| close::kill_later(origin.core(), held));
            return Ok(());
        }
        let limit = usize::try_from(origin.limit).ok().filter(|&limit| limit > 0);
        let enough = limit.is_some_and(|limit| self.retrieved >= limit);
        let (raw, codec) = (origin.raw, &origin.scope.get().codec);
        // As `command()`: the documents are taken for the server's.
        let codec = if any_command { codec.without_decoders() } else { codec.clone() };
        self.held = held;
        self.left = items;
        self.batch = Some(Box::new(Unread { batch, codec, at: 0, raw }));
        if enough && let Some((core, held)) = self.take_held() {
            close::kill_later(core, held);
        }
        if self.held.is_none() {
            self.release_session();
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) -> CoreResult<()> {
        let exhaust = self.origin.as_ref().is_some_and(|origin| origin.terms.exhaust);
        let held = self.take_held().filter(|_| !exhaust && close::leaves_it_open(&error));
        self.left_open = held;
        let tailable = self.origin.as_ref().is_some_and(|origin| origin.tailable);
        // A capped collection has overtaken its reader, who is not told more than that this was all.
        let overtaken = tailable && !self.runs_any_command() && close::says_it_has_gone(&error);
        self.end();
        if overtaken { Ok(()) } else { Err(error) }
    }

    pub fn take_left_open(&mut self) -> Option<(Arc<ClientCore>, Held)> {
        self.left_open.take()
    }

    /// `cursor_command`: the command is the user's, and need not open a cursor.
    fn runs_any_command(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.terms.kind == Kind::Command)
    }

    /// Only find's cursors let iteration end when there is nothing now.
    pub fn waits_for_more(&self) -> bool {
        self.runs_any_command() && self.more_to_fetch()
    }

    /// The changes so far were read. There may be more, but a list of them all will never be whole.
    pub fn has_caught_up(&self) -> bool {
        self.left == 0 && self.batch.as_ref().is_some_and(|unread| unread.batch.is_of_changes())
    }

    /// An implicit session goes back to its pool as soon as the server's cursor is gone.
    fn release_session(&mut self) {
        if let Some(origin) = &mut self.origin
            && origin.terms.session.implicit
        {
            origin.terms.session = Session::implicit(origin.core().sessions.clone());
        }
    }

    /// Nothing more is asked of the server; what has come can still be read.
    pub fn end(&mut self) {
        self.closed = true;
        self.held = None;
        self.release_session();
    }

    /// The server's cursor, if it is still there, for somebody to close.
    pub fn take_held(&mut self) -> Option<(Arc<ClientCore>, Held)> {
        let held = self.held.take()?;
        let origin = self.origin.as_ref().filter(|origin| origin.born_in == fork::generation())?;
        Some((origin.core(), held))
    }

    pub fn more_to_fetch(&self) -> bool {
        !self.closed && (!self.started || self.held.is_some() || self.fetching.is_some())
    }

    pub fn get_more(&self, limit: TimeLimit) -> Option<(Arc<ClientCore>, Operation)> {
        let (origin, held) = (self.origin.as_ref()?, self.held.as_ref()?);
        let retrieved = i64::try_from(self.retrieved).unwrap_or(i64::MAX);
        let size = get_more::next_batch_size(origin.batch_size, origin.limit, retrieved);
        let mut message = get_more::message(held.id, &held.collection, size, &origin.extra);
        if origin.raw {
            message = message.with_raw_batches();
        }
        // A forked child has no part in its parent's connection.
        if origin.terms.exhaust && held.pinned.as_ref().is_some_and(|pinned| pinned.is_home()) {
            message = message.with_replies_to_come();
        }
        let terms = Terms {
            kind: Kind::GetMore,
            limit,
            database: held.database.clone(),
            server: Some(held.address.clone()),
            pinned: held.pinned.clone(),
            opens_cursor: false,
            ..origin.terms.clone()
        };
        Some((origin.core(), Operation { message, terms }))
    }
}

/// About 5 ms of decoding.
const SLICE_BYTES: usize = 3 << 19;
