//! `_core.ChangeStreamCore` and its two iterators: cursors one after another, each begun where the one
//! before was lost.
//!
//! The Python subclass knows what to ask (`_next_cursor`), `ops::change_stream` when and from where;
//! here one call of the user's is taken to its event.

use parking_lot::Mutex;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::cursor::CursorCore;
use super::cursor_fetch::{self as fetch, Request};
use super::once::name;
use super::pending::{PyPending, Step, Task, run_blocking};
use super::scope::run_owned;
use super::{errors, options};
use crate::deadline::TimeLimit;
use crate::error::{Error, Result as CoreResult};
use crate::exec::operation::Outcome;
use crate::ops::change_stream::reopen::reopen;
use crate::ops::change_stream::resume::{self, Position};
use crate::ops::cursor::close;

#[pyclass(module = "ferromongo._core", subclass, frozen, generic)]
pub struct ChangeStreamCore(Mutex<State>);

#[derive(Default)]
struct State {
    /// None before `_start`. A cursor that is over while the stream is not was lost, and the next call
    /// begins with a new one.
    cursor: Option<Py<CursorCore>>,
    position: Position,
    closed: bool,
}

/// One call of the user's, which may take several commands.
#[derive(Clone, Copy)]
struct Call {
    end: End,
    /// None until the first command is made.
    limit: Option<TimeLimit>,
    /// How often the stream was resumed since a getMore worked.
    resumes: u32,
}

/// What the call answers without an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// `watch` waits for none.
    Opened,
    /// None, also when the server has nothing now. The others wait for an event, and end with the stream.
    TryNext,
    StopIteration,
    StopAsyncIteration,
}

/// What was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Open,
    /// Instead of a cursor that an earlier call lost.
    Reopen,
    GetMore,
    /// Instead of a cursor whose getMore just failed.
    Resume,
}

impl Call {
    fn new(end: End) -> Call {
        Call { end, limit: None, resumes: 0 }
    }
}

impl End {
    fn step(self, py: Python<'_>) -> PyResult<Step> {
        match self {
            End::Opened | End::TryNext => Ok(Step::Done(py.None())),
            End::StopIteration => Err(PyStopIteration::new_err(())),
            End::StopAsyncIteration => Err(PyStopAsyncIteration::new_err(())),
        }
    }
}

impl ChangeStreamCore {
    fn new() -> ChangeStreamCore {
        ChangeStreamCore(Mutex::default())
    }

    /// None when the stream is closed.
    fn cursor<'py>(&self, py: Python<'py>) -> Option<Bound<'py, CursorCore>> {
        let state = self.0.lock();
        let cursor = state.cursor.as_ref().filter(|_| !state.closed)?;
        Some(cursor.bind(py).clone())
    }

    /// The next event of the batch that is here.
    fn buffered<'py>(
        &self,
        cursor: &Bound<'py, CursorCore>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = cursor.py();
        let pass = |event: &_, last| (last, self.0.lock().position.pass(event, last));
        let found = cursor.get().event_with(py, pass);
        if found.is_err() {
            self.note_end(cursor); // an event that could not be decoded ends it
        }
        let Some((event, (last, passed))) = found? else { return Ok(None) };
        if let Err(error) = passed {
            return Err(self.give_up(cursor, &error));
        }
        if last {
            self.note_end(cursor);
        }
        event.map(Some)
    }

    /// To be called where a cursor that is over was not lost: the server has ended it, as the stream was
    /// invalidated, or a new one would bring the same.
    fn note_end(&self, cursor: &Bound<'_, CursorCore>) {
        if cursor.get().is_over() {
            self.0.lock().closed = true;
        }
    }

    fn give_up(&self, cursor: &Bound<'_, CursorCore>, error: &Error) -> PyErr {
        self.0.lock().closed = true;
        if let Some((core, held)) = cursor.get().abandon() {
            close::kill_later(core, held);
        }
        errors::to_python(cursor.py(), error)
    }
}

/// Takes a call on to its event, or to the command that may bring it.
fn advance(stream: &Bound<'_, ChangeStreamCore>, mut call: Call) -> PyResult<Step> {
    let py = stream.py();
    let Some(cursor) = stream.get().cursor(py) else { return call.end.step(py) };
    if let Some(event) = stream.get().buffered(&cursor)? {
        return Ok(Step::Done(event.unbind()));
    }
    if cursor.get().is_over() || !cursor.get().has_begun() {
        return open(stream, call, Sent::Reopen, None).map(Step::Again);
    }
    let request = fetch::next_request(&cursor, call.limit)?;
    let Request { core, operation, claim } = request.ok_or_else(fetch::busy)?;
    call.limit = Some(operation.terms.limit);
    let stream = stream.clone().unbind();
    let finish = move |py: Python<'_>, cursor: Py<CursorCore>, outcome| {
        received(stream.bind(py), cursor.bind(py), outcome, call, Sent::GetMore)
    };
    Ok(Step::Again(fetch::send(claim, run_owned(core, operation), finish)))
}

/// A new cursor from where the stream stands. After an error with which the server's old one may be
/// left, that is closed first.
fn open(
    stream: &Bound<'_, ChangeStreamCore>,
    mut call: Call,
    sent: Sent,
    after: Option<&Error>,
) -> PyResult<Box<dyn Task>> {
    let cursor = stream.call_method0(name!(stream.py(), "_next_cursor"))?.cast_into()?;
    let request = fetch::next_request(&cursor, call.limit)?;
    let Request { core, operation, claim } = request.ok_or_else(fetch::busy)?;
    call.limit = Some(operation.terms.limit);
    let former = stream.get().0.lock().cursor.replace(cursor.clone().unbind());
    let left = former.and_then(|former| former.get().abandon());
    let left = left.filter(|_| after.is_some_and(close::leaves_it_open)).map(|(_, held)| held);
    let stream = stream.clone().unbind();
    Ok(fetch::send(claim, reopen(core, operation, left), move |py, cursor, outcome| {
        received(stream.bind(py), cursor.bind(py), outcome, call, sent)
    }))
}

/// Takes in an answer, and goes on with the call.
fn received(
    stream: &Bound<'_, ChangeStreamCore>,
    cursor: &Bound<'_, CursorCore>,
    outcome: CoreResult<Outcome>,
    mut call: Call,
    sent: Sent,
) -> PyResult<Step> {
    let (py, core) = (stream.py(), stream.get());
    if let Err(error) = &outcome
        && sent == Sent::GetMore
        && resume::is_resumable(error)
        && call.resumes < resume::MOST_IN_A_ROW
        && !core.0.lock().closed
    {
        call.resumes += 1;
        return open(stream, call, Sent::Resume, Some(error)).map(Step::Again);
    }
    let reply = outcome.as_ref().ok().and_then(|outcome| outcome.reply.as_ref());
    let noted = reply.map_or(Ok(()), |reply| core.0.lock().position.receive(reply.body()));
    if let Err(error) = cursor.get().install(outcome) {
        // What a new cursor may cure, or more time, the next call tries.
        let mends = resume::is_resumable(&error) || error.is_timeout();
        core.0.lock().closed |= !mends && matches!(sent, Sent::GetMore | Sent::Resume);
        return Err(cursor.get().exception(py, &error));
    }
    noted.map_err(|error| core.give_up(cursor, &error))?;
    if call.end == End::Opened {
        return call.end.step(py);
    }
    if let Some(event) = core.buffered(cursor)? {
        return Ok(Step::Done(event.unbind()));
    }
    core.note_end(cursor);
    if sent == Sent::GetMore {
        call.resumes = 0;
    }
    match (call.end, sent) {
        (End::TryNext, Sent::GetMore | Sent::Resume) => call.end.step(py),
        _ => advance(stream, call),
    }
}

fn call(stream: &Bound<'_, ChangeStreamCore>, end: End) -> PyPending {
    let stream = stream.clone().unbind();
    PyPending::later(move |py| advance(stream.bind(py), Call::new(end)))
}

#[pymethods]
impl ChangeStreamCore {
    #[getter]
    fn alive(&self) -> bool {
        !self.0.lock().closed
    }

    #[getter]
    fn _cursor(&self, py: Python<'_>) -> Option<Py<CursorCore>> {
        self.0.lock().cursor.as_ref().map(|cursor| cursor.clone_ref(py))
    }

    fn _start(slf: Bound<'_, Self>, placed: bool) -> PyPending {
        let stream = slf.unbind();
        PyPending::later(move |py| {
            stream.get().0.lock().position = Position::new(placed);
            open(stream.bind(py), Call::new(End::Opened), Sent::Open, None).map(Step::Again)
        })
    }

    /// The next event if no command has to be sent for it; else None, also at the end.
    fn _buffered<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.cursor(py) {
            Some(cursor) => self.buffered(&cursor),
            None => Ok(None),
        }
    }

    /// The resume token as bytes, the time the stream began at, and whether it has returned an event.
    fn _position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (token, time, returned) = {
            let position = &self.0.lock().position;
            let token = position.token().map(ToOwned::to_owned);
            (token, position.operation_time(), position.has_returned())
        };
        let token = token.map(|token| PyBytes::new(py, &token));
        (token, options::to_timestamp(py, time)?, returned).into_pyobject(py)
    }

    fn _try_next(slf: &Bound<'_, Self>) -> PyPending {
        call(slf, End::TryNext)
    }

    fn _close(slf: Bound<'_, Self>) -> PyPending {
        let stream = slf.unbind();
        PyPending::later(move |py| {
            let mut state = stream.get().0.lock();
            state.closed = true;
            let cursor = state.cursor.as_ref().map(|cursor| cursor.clone_ref(py));
            drop(state);
            cursor.map_or_else(|| Ok(Step::Done(py.None())), |cursor| cursor.get().close(py))
        })
    }
}

#[pyclass(module = "ferromongo._core", extends = ChangeStreamCore, subclass, frozen, generic)]
pub struct SyncChangeStreamCore;

#[pymethods]
impl SyncChangeStreamCore {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<SyncChangeStreamCore> {
        PyClassInitializer::from(ChangeStreamCore::new()).add_subclass(SyncChangeStreamCore)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        match advance(slf.as_super(), Call::new(End::StopIteration))? {
            Step::Done(event) => Ok(event),
            Step::Again(task) | Step::Pause(task) => run_blocking(slf.py(), task),
        }
    }

    fn _next(slf: &Bound<'_, Self>) -> PyPending {
        call(slf.as_super(), End::StopIteration)
    }
}

#[pyclass(module = "ferromongo._core", extends = ChangeStreamCore, subclass, frozen, generic)]
pub struct AsyncChangeStreamCore;

#[pymethods]
impl AsyncChangeStreamCore {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<AsyncChangeStreamCore> {
        PyClassInitializer::from(ChangeStreamCore::new()).add_subclass(AsyncChangeStreamCore)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn _next(slf: &Bound<'_, Self>) -> PyPending {
        call(slf.as_super(), End::StopAsyncIteration)
    }
}
