//! `_core.StreamEngine` and its two iterators: cursors one after another, each begun where the one
//! before was lost.
//!
//! The Python subclass knows what to ask (`_next_cursor`), `ops::change_stream` when and from where;
//! here one call of the user's is taken to its event.

use parking_lot::Mutex;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::cursor::{CursorCore, CursorEngine};
use super::cursor_fetch::{self as fetch, Request};
use super::instance::{self, Part, Plain};
use super::once::name;
use super::pending::{PyPending, Step, Task};
use super::scope::run_owned;
use super::{errors, options};
use crate::deadline::TimeLimit;
use crate::error::{Error, Result as CoreResult};
use crate::exec::operation::Outcome;
use crate::ops::change_stream::reopen::reopen;
use crate::ops::change_stream::resume::{self, Position};
use crate::ops::cursor::close;

/// What the engine has of a change stream. The public object (`owner` below) holds it, see `instance`.
#[derive(Default)]
#[pyclass(module = "ferromongo._core", frozen)]
pub struct StreamEngine {
    state: Mutex<State>,
    plain: Plain,
}

#[derive(Default)]
struct State {
    /// None before `_start`. A cursor that is over while the stream is not was lost, and the next call
    /// begins with a new one.
    cursor: Option<OpenCursor>,
    position: Position,
    closed: bool,
}

/// The public object and what the engine has of it.
struct OpenCursor(Py<PyAny>, Py<CursorEngine>);

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

impl Part for StreamEngine {
    fn plain(&self) -> &Plain {
        &self.plain
    }
}

impl StreamEngine {
    fn of<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, StreamEngine>> {
        instance::part(owner)
    }

    /// The next event if it is here, and if nothing overrides what `next` does with it.
    fn ready<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match instance::plain_part::<StreamEngine>(owner)? {
            Some(stream) => stream.get().buffered_now(owner.py()),
            None => Ok(None),
        }
    }

    fn buffered_now<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.cursor(py) {
            Some((_, cursor)) => self.buffered(&cursor),
            None => Ok(None),
        }
    }

    /// None when the stream is closed.
    fn cursor<'py>(
        &self,
        py: Python<'py>,
    ) -> Option<(Bound<'py, PyAny>, Bound<'py, CursorEngine>)> {
        let state = self.state.lock();
        let OpenCursor(owner, cursor) = state.cursor.as_ref().filter(|_| !state.closed)?;
        Some((owner.bind(py).clone(), cursor.bind(py).clone()))
    }

    /// The next event of the batch that is here.
    fn buffered<'py>(
        &self,
        cursor: &Bound<'py, CursorEngine>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = cursor.py();
        let pass = |event: &_, last| (last, self.state.lock().position.pass(event, last));
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
    fn note_end(&self, cursor: &Bound<'_, CursorEngine>) {
        if cursor.get().is_over() {
            self.state.lock().closed = true;
        }
    }

    fn give_up(&self, cursor: &Bound<'_, CursorEngine>, error: &Error) -> PyErr {
        self.state.lock().closed = true;
        if let Some((core, held)) = cursor.get().abandon() {
            close::kill_later(core, held);
        }
        errors::to_python(cursor.py(), error)
    }
}

/// Takes a call on to its event, or to the command that may bring it.
fn advance(
    owner: &Bound<'_, PyAny>,
    stream: &Bound<'_, StreamEngine>,
    mut call: Call,
) -> PyResult<Step> {
    let py = stream.py();
    let Some((cursor_owner, cursor)) = stream.get().cursor(py) else { return call.end.step(py) };
    if let Some(event) = stream.get().buffered(&cursor)? {
        return Ok(Step::Done(event.unbind()));
    }
    if cursor.get().is_over() || !cursor.get().has_begun() {
        return open(owner, stream, call, Sent::Reopen, None).map(Step::Again);
    }
    let request = fetch::next_request(&cursor_owner, &cursor, call.limit)?;
    let Request { core, operation, claim } = request.ok_or_else(fetch::busy)?;
    call.limit = Some(operation.terms.limit);
    let (owner, stream) = (owner.clone().unbind(), stream.clone().unbind());
    let finish = move |py: Python<'_>, cursor: Py<CursorEngine>, outcome| {
        let (owner, stream) = (owner.bind(py), stream.bind(py));
        received(owner, stream, cursor.bind(py), outcome, call, Sent::GetMore)
    };
    Ok(Step::Again(fetch::send(claim, run_owned(core, operation), finish)))
}

/// A new cursor from where the stream stands. After an error with which the server's old one may be
/// left, that is closed first.
fn open(
    owner: &Bound<'_, PyAny>,
    stream: &Bound<'_, StreamEngine>,
    mut call: Call,
    sent: Sent,
    after: Option<&Error>,
) -> PyResult<Box<dyn Task>> {
    let opened = owner.call_method0(name!(owner.py(), "_next_cursor"))?;
    let cursor = CursorEngine::of(opened.cast::<CursorCore>()?)?;
    let request = fetch::next_request(&opened, &cursor, call.limit)?;
    let Request { core, operation, claim } = request.ok_or_else(fetch::busy)?;
    call.limit = Some(operation.terms.limit);
    let former =
        stream.get().state.lock().cursor.replace(OpenCursor(opened.unbind(), cursor.unbind()));
    let left = former.and_then(|OpenCursor(_, former)| former.get().abandon());
    let left = left.filter(|_| after.is_some_and(close::leaves_it_open)).map(|(_, held)| held);
    let (owner, stream) = (owner.clone().unbind(), stream.clone().unbind());
    Ok(fetch::send(claim, reopen(core, operation, left), move |py, cursor, outcome| {
        received(owner.bind(py), stream.bind(py), cursor.bind(py), outcome, call, sent)
    }))
}

/// Takes in an answer, and goes on with the call.
fn received(
    owner: &Bound<'_, PyAny>,
    stream: &Bound<'_, StreamEngine>,
    cursor: &Bound<'_, CursorEngine>,
    outcome: CoreResult<Outcome>,
    mut call: Call,
    sent: Sent,
) -> PyResult<Step> {
    let (py, core) = (stream.py(), stream.get());
    if let Err(error) = &outcome
        && sent == Sent::GetMore
        && resume::is_resumable(error)
        && call.resumes < resume::MOST_IN_A_ROW
        && !core.state.lock().closed
    {
        call.resumes += 1;
        return open(owner, stream, call, Sent::Resume, Some(error)).map(Step::Again);
    }
    let reply = outcome.as_ref().ok().and_then(|outcome| outcome.reply.as_ref());
    let noted = reply.map_or(Ok(()), |reply| core.state.lock().position.receive(reply.body()));
    if let Err(error) = cursor.get().install(outcome) {
        // What a new cursor may cure, or more time, the next call tries.
        let mends = resume::is_resumable(&error) || error.is_timeout();
        core.state.lock().closed |= !mends && matches!(sent, Sent::GetMore | Sent::Resume);
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
        _ => advance(owner, stream, call),
    }
}

fn later(
    owner: Bound<'_, PyAny>,
    begin: impl FnOnce(&Bound<'_, PyAny>, &Bound<'_, StreamEngine>) -> PyResult<Step> + Send + 'static,
) -> PyPending {
    let owner = owner.unbind();
    PyPending::later(move |py| {
        let owner = owner.into_bound(py);
        begin(&owner, &StreamEngine::of(&owner)?)
    })
}

fn call(owner: Bound<'_, PyAny>, end: End) -> PyPending {
    later(owner, move |owner, stream| advance(owner, stream, Call::new(end)))
}

/// What a change stream of the public classes is derived from: methods, and no field.
#[pyclass(module = "ferromongo._core", subclass, frozen, generic)]
pub struct ChangeStreamCore;

#[pymethods]
impl ChangeStreamCore {
    #[getter]
    fn alive(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(!StreamEngine::of(slf)?.get().state.lock().closed)
    }

    #[getter]
    fn _cursor(slf: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        let stream = StreamEngine::of(slf)?;
        let state = stream.get().state.lock();
        Ok(state.cursor.as_ref().map(|OpenCursor(cursor, _)| cursor.clone_ref(slf.py())))
    }

    fn _start(slf: Bound<'_, Self>, placed: bool) -> PyPending {
        later(slf.into_any(), move |owner, stream| {
            stream.get().state.lock().position = Position::new(placed);
            open(owner, stream, Call::new(End::Opened), Sent::Open, None).map(Step::Again)
        })
    }

    /// The next event if no command has to be sent for it; else None, also at the end.
    fn _buffered<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        StreamEngine::of(slf)?.get().buffered_now(slf.py())
    }

    /// The resume token as bytes, the time the stream began at, and whether it has returned an event.
    fn _position<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, stream) = (slf.py(), StreamEngine::of(slf)?);
        let (token, time, returned) = {
            let position = &stream.get().state.lock().position;
            let token = position.token().map(ToOwned::to_owned);
            (token, position.operation_time(), position.has_returned())
        };
        let token = token.map(|token| PyBytes::new(py, &token));
        (token, options::to_timestamp(py, time)?, returned).into_pyobject(py)
    }

    fn _try_next(slf: Bound<'_, Self>) -> PyPending {
        call(slf.into_any(), End::TryNext)
    }

    fn _close(slf: Bound<'_, Self>) -> PyPending {
        later(slf.into_any(), |owner, stream| {
            let py = owner.py();
            let mut state = stream.get().state.lock();
            state.closed = true;
            let cursor = state.cursor.as_ref().map(|OpenCursor(_, cursor)| cursor.clone_ref(py));
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
        PyClassInitializer::from(ChangeStreamCore).add_subclass(SyncChangeStreamCore)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// `for` takes the events that are here past Python's `try_next`, unless that is overridden.
    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match StreamEngine::ready(slf)? {
            Some(event) => Ok(event),
            None => slf.call_method0(name!(slf.py(), "_following")),
        }
    }

    fn _next(slf: Bound<'_, Self>) -> PyPending {
        call(slf.into_any(), End::StopIteration)
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
        PyClassInitializer::from(ChangeStreamCore).add_subclass(AsyncChangeStreamCore)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// For `__anext__`: the next event if it is here, and if no method is overridden; else None.
    fn _ready<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        StreamEngine::ready(slf)
    }

    fn _next(slf: Bound<'_, Self>) -> PyPending {
        call(slf.into_any(), End::StopAsyncIteration)
    }
}
