//! The next batch of a public cursor: its first command, which Python makes, or a getMore.

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::cursor::CursorEngine;
use super::once::name;
use super::scope::PyScope;
use super::session::PySession;
use super::task::{Step, Task, task};
use super::{errors, time_limit};
use crate::deadline::TimeLimit;
use crate::error::Error;
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation};
use crate::ops::cursor::fetch::Fetch;
use crate::ops::cursor::state::Options;

/// What a cursor begins with: the fields of `_calls.openings.Opening`.
pub struct Opening<'py> {
    scope: Bound<'py, PyScope>,
    command: Bound<'py, PyAny>,
    session: Option<Bound<'py, PySession>>,
    batch_size: i64,
    limit: i64,
    get_more: Option<Bound<'py, PyAny>>,
    exhaust: bool,
    raw: bool,
    any_command: bool,
    read_ahead: bool,
}

impl<'py> Opening<'py> {
    /// A named tuple: the fields in the order in which they are declared here.
    pub fn of(opened: &Bound<'py, PyAny>) -> PyResult<Opening<'py>> {
        let fields = opened.cast::<PyTuple>()?;
        let field = |index: usize| fields.get_borrowed_item(index);
        Ok(Opening {
            scope: field(0)?.to_owned().cast_into()?,
            command: field(1)?.to_owned(),
            session: field(2)?.extract()?,
            batch_size: field(3)?.extract()?,
            limit: field(4)?.extract()?,
            get_more: field(5)?.extract()?,
            exhaust: field(6)?.extract()?,
            raw: field(7)?.extract()?,
            any_command: field(8)?.extract()?,
            read_ahead: field(9)?.extract()?,
        })
    }

    pub fn scope(&self) -> &Bound<'py, PyScope> {
        &self.scope
    }

    /// The command, and how its cursor is read.
    pub fn encode(
        &self,
        core: &ClientCore,
        within: Option<TimeLimit>,
    ) -> PyResult<(Operation, Options)> {
        let (py, scope) = (self.command.py(), self.scope.get());
        let documents = &scope.documents;
        let extra = self.get_more.as_ref().map(|get_more| documents.elements(get_more));
        let tailable = self.command.contains(name!(py, "tailable"))?;
        let mut message = documents.message(&self.command)?;
        if self.raw {
            message = message.with_raw_batches();
        }
        let session = self.session.as_ref().map(|session| session.get());
        let kind =
            if self.any_command { CommandKind::Command } else { CommandKind::read_of(&message) };
        let mut terms = scope.terms(py, core, kind, session, None)?;
        terms.limit = within.unwrap_or(terms.limit);
        terms.opens_cursor = true;
        terms.exhaust = self.exhaust;
        // As `command()`: the documents are taken for the server's.
        let reader = if self.any_command { documents.of_server() } else { documents.clone() };
        let options = Options {
            batch_size: self.batch_size,
            limit: self.limit,
            extra: extra.transpose()?.unwrap_or_default(),
            tailable,
            raw: self.raw,
            reader,
        };
        Ok((Operation { message, terms }, options))
    }
}

/// The first command, which `owner` makes, or getMore. `None` at the end. Without a limit to keep `within` it
/// gets that of a call that begins now.
pub fn next_fetch(
    owner: &Bound<'_, PyAny>,
    engine: &CursorEngine,
    within: Option<TimeLimit>,
) -> PyResult<Option<Fetch>> {
    let py = owner.py();
    let cursor = engine.cursor();
    let core = engine.core(py);
    let within = match (within, &core) {
        (None, Some(core)) => Some(time_limit::current(py, &core.settings)?),
        (given, _) => given,
    };
    let claim = cursor.claim().map_err(|error| errors::to_python(py, &error))?;
    let Some(claim) = claim else { return Ok(None) };
    if !claim.opens() {
        return Ok(core.and_then(|core| claim.get_more(core, within.unwrap_or_default())));
    }
    let opened = owner.call_method0(name!(py, "_open"))?;
    if opened.is_none() {
        claim.end_without_documents();
        return Ok(None);
    }
    let opening = Opening::of(&opened)?;
    let core = opening.scope.get().core();
    let (operation, options) = opening.encode(&core, within)?;
    if opening.read_ahead {
        cursor.set_read_ahead(true);
    }
    engine.note_scope(opening.scope);
    Ok(Some(claim.open(core, operation, options)))
}

/// A task that fetches the next batch and then goes on with `after`, which may fetch more within the same limit.
pub fn send(
    fetch: Fetch,
    engine: Py<CursorEngine>,
    wanted: usize,
    after: impl FnOnce(Python<'_>, &CursorEngine, TimeLimit) -> PyResult<Step> + Send + 'static,
) -> Box<dyn Task> {
    let limit = fetch.limit();
    task(fetch.run(wanted), move |py: Python<'_>, fetched| {
        let engine = engine.get();
        fetched.map_err(|error: Error| engine.exception(py, &error))?;
        after(py, engine, limit)
    })
}

/// `next_fetch` as a task. `None` at the end.
pub fn fetch(
    owner: &Bound<'_, PyAny>,
    engine: &Bound<'_, CursorEngine>,
    after: impl FnOnce(Python<'_>, &CursorEngine, TimeLimit) -> PyResult<Step> + Send + 'static,
) -> PyResult<Option<Box<dyn Task>>> {
    let next = next_fetch(owner, engine.get(), None)?;
    Ok(next.map(|fetch| send(fetch, engine.clone().unbind(), 0, after)))
}
