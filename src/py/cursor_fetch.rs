//! The next batch of a cursor: the command that brings it, and who is fetching it.
//!
//! A fetch begins when its task is polled for the first time. If it is cancelled before that, it has no
//! effect. If it is cancelled later, documents of the batch may be lost: the cursor raises from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::cursor::CursorEngine;
use super::cursor_state::{Origin, State};
use super::errors;
use super::once::name;
use super::pending::{Step, Task, task};
use super::scope::{PyScope, run_owned};
use super::session::PySession;
use super::time_limit;
use crate::codec;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result as CoreResult};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Outcome};
use crate::net::fork;
use crate::ops::cursor::get_more;

/// A command that brings the next batch.
pub struct Request {
    pub core: Arc<ClientCore>,
    pub operation: Operation,
    pub claim: Claim,
}

/// The right to fetch the next batch, which one caller at a time has.
pub struct Claim {
    /// None when it is over.
    cursor: Option<Py<CursorEngine>>,
    /// Set at the first poll. The cursor has it too, and knows the claim by it.
    begun: Arc<AtomicBool>,
    /// By the first command.
    opens: bool,
}

impl Claim {
    /// `None` at the end.
    fn of(cursor: &Bound<'_, CursorEngine>) -> PyResult<Option<Claim>> {
        let mut state = cursor.get().state.lock();
        if state.cut {
            drop(state);
            return Err(errors::to_python(cursor.py(), &Error::invalid_operation(CUT)));
        }
        if state.fetching.is_some() && !state.closed {
            return Err(busy());
        }
        if !state.more_to_fetch() || std::mem::take(&mut state.dry) {
            return Ok(None);
        }
        let begun = Arc::<AtomicBool>::default();
        state.fetching = Some(begun.clone());
        Ok(Some(Claim { cursor: Some(cursor.clone().unbind()), begun, opens: !state.started }))
    }

    fn is_of(&self, state: &State) -> bool {
        state.fetching.as_ref().is_some_and(|begun| Arc::ptr_eq(begun, &self.begun))
    }

    /// The cursor, to take in what came; `None` if it was rewound meanwhile.
    fn end(mut self) -> Option<Py<CursorEngine>> {
        let cursor = self.cursor.take()?;
        let mut state = cursor.get().state.lock();
        if !self.is_of(&state) {
            return None;
        }
        state.fetching = None;
        drop(state);
        Some(cursor)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(cursor) = self.cursor.take() else { return };
        let mut state = cursor.get().state.lock();
        if !self.is_of(&state) {
            return;
        }
        state.fetching = None;
        if self.begun.load(Ordering::Relaxed) {
            drop(state);
            cursor.get().cut();
        } else if self.opens {
            state.started = false;
            let origin = state.origin.take();
            drop(state);
            drop(origin);
        }
    }
}

pub fn busy() -> PyErr {
    PyRuntimeError::new_err("this cursor is in use by another caller")
}

/// The first command, which `owner` makes, or getMore. `None` at the end. Without a limit to keep `within` it
/// gets that of a call that begins now.
pub fn next_request(
    owner: &Bound<'_, PyAny>,
    cursor: &Bound<'_, CursorEngine>,
    within: Option<TimeLimit>,
) -> PyResult<Option<Request>> {
    let py = cursor.py();
    // Not under the lock: a child's core is made when it is first asked for.
    let scope = cursor.get().state.lock().origin.as_ref().map(|origin| origin.scope.clone_ref(py));
    let core = scope.map(|scope| scope.get().core());
    let within = match (within, core) {
        (None, Some(core)) => Some(time_limit::current(py, &core.settings)?),
        (given, _) => given,
    };
    let Some(claim) = Claim::of(cursor)? else { return Ok(None) };
    if claim.opens {
        return first_request(owner, cursor, within, claim);
    }
    let more = cursor.get().state.lock().get_more(within.unwrap_or_default());
    Ok(more.map(|(core, operation)| Request { core, operation, claim }))
}

fn first_request(
    owner: &Bound<'_, PyAny>,
    cursor: &Bound<'_, CursorEngine>,
    within: Option<TimeLimit>,
    claim: Claim,
) -> PyResult<Option<Request>> {
    let py = cursor.py();
    let opened = owner.call_method0(name!(py, "_open"))?;
    if opened.is_none() {
        claim.end();
        let mut state = cursor.get().state.lock();
        (state.started, state.closed) = (true, true);
        return Ok(None);
    }
    type Opened<'py> = (
        Bound<'py, PyScope>,
        Bound<'py, PyAny>,
        Option<Bound<'py, PySession>>,
        i64,
        i64,
        Option<Bound<'py, PyAny>>,
        bool,
        bool,
        bool,
    );
    let (scope, command, session, batch_size, limit, extra, exhaust, raw, any_command): Opened<'_> =
        opened.extract()?;
    let handle = scope.clone().unbind();
    let scope = scope.get();
    let mut elements = Vec::new();
    if let Some(extra) = extra {
        codec::encode_document(&extra, &scope.codec, false, &mut elements)?;
        elements.pop();
        elements.drain(..4);
    }
    let tailable = command.contains(name!(py, "tailable"))?;
    let core = scope.core();
    let mut message = scope.encode(&command)?;
    if raw {
        message = message.with_raw_batches();
    }
    let session = session.as_ref().map(|session| session.get());
    let kind = if any_command { Kind::Command } else { Kind::read_of(&message) };
    let mut terms = scope.terms(py, &core, kind, session, None)?;
    terms.limit = within.unwrap_or(terms.limit);
    terms.opens_cursor = true;
    terms.exhaust = exhaust;
    let mut state = cursor.get().state.lock();
    state.started = true;
    let former = state.origin.replace(Origin {
        scope: handle,
        terms: terms.clone(),
        collection: get_more::collection_of(&message),
        batch_size,
        limit,
        extra: elements,
        tailable,
        raw,
        born_in: fork::generation(),
    });
    drop(state);
    drop(former);
    Ok(Some(Request { core, operation: Operation { message, terms }, claim }))
}

impl Request {
    /// A task that fetches the next batch and then goes on with `after`, which may fetch more within the
    /// same limit.
    pub fn fetch(
        self,
        after: impl FnOnce(Python<'_>, Py<CursorEngine>, TimeLimit) -> PyResult<Step> + Send + 'static,
    ) -> Box<dyn Task> {
        let limit = self.operation.terms.limit;
        let work = run_owned(self.core, self.operation);
        send(self.claim, work, move |py: Python<'_>, cursor: Py<CursorEngine>, outcome| {
            let closing = cursor.get().install_or_close(py, outcome, limit)?;
            closing.map_or_else(|| after(py, cursor, limit), Ok)
        })
    }
}

/// `None` at the end.
pub fn fetch(
    owner: &Bound<'_, PyAny>,
    cursor: &Bound<'_, CursorEngine>,
    after: impl FnOnce(Python<'_>, Py<CursorEngine>, TimeLimit) -> PyResult<Step> + Send + 'static,
) -> PyResult<Option<Box<dyn Task>>> {
    Ok(next_request(owner, cursor, None)?.map(|request| request.fetch(after)))
}

/// A task that does the `work` of fetching a batch; `finish` takes it in.
pub fn send(
    claim: Claim,
    work: impl Future<Output = CoreResult<Outcome>> + Send + 'static,
    finish: impl FnOnce(Python<'_>, Py<CursorEngine>, CoreResult<Outcome>) -> PyResult<Step>
    + Send
    + 'static,
) -> Box<dyn Task> {
    let begun = claim.begun.clone();
    let work = async move {
        begun.store(true, Ordering::Relaxed);
        work.await
    };
    task(work, move |py: Python<'_>, outcome| {
        let cursor = claim.end().ok_or_else(busy)?;
        finish(py, cursor, outcome)
    })
}

const CUT: &str = "this cursor was cancelled or interrupted while it fetched documents, which are lost \
                   with it: send the query again";
