//! `_core.ChangeStreamBase` and its two iterators: one call of the user's is taken to its event.
//!
//! The Python subclass knows what to ask, `ops::change_stream` where to go on and when.

use std::sync::{Arc, OnceLock};

use bson::RawDocumentBuf;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::cursor::{self, CursorEngine};
use super::cursor_fetch::Opening;
use super::instance::{self, Part, Plain};
use super::once::name;
use super::pending::PyPending;
use super::scope::PyScope;
use super::task::{Step, task};
use super::{errors, time_limit, unread};
use crate::error::{Error, Result as CoreResult};
use crate::ops::change_stream::resume::{Begin, Position};
use crate::ops::change_stream::stream::{ChangeStream, Until, Watched};
use crate::ops::cursor::server_cursor::ServerCursor;
use crate::sync::Mutex;

/// What the engine has of a change stream. The public object (`owner` below) holds it, see `instance`.
#[derive(Default)]
#[pyclass(module = "ferromongo._core", frozen)]
pub struct StreamEngine {
    /// Unset before `_start`.
    opened: OnceLock<Opened>,
    /// The public object of the latest cursor, if somebody asked for it.
    shown: Mutex<Option<(Arc<ServerCursor>, Py<PyAny>)>>,
    plain: Plain,
}

struct Opened {
    stream: Arc<ChangeStream>,
    scope: Py<PyScope>,
}

/// What the call answers without an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// None, also when the server has nothing now. The others wait for an event, and end with the stream.
    TryNext,
    StopIteration,
    StopAsyncIteration,
}

impl End {
    fn step(self, py: Python<'_>) -> PyResult<Step> {
        match self {
            End::TryNext => Ok(Step::Done(py.None())),
            End::StopIteration => Err(PyStopIteration::new_err(())),
            End::StopAsyncIteration => Err(PyStopAsyncIteration::new_err(())),
        }
    }

    fn until(self) -> Until {
        if self == End::TryNext { Until::Asked } else { Until::Event }
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
            Some(engine) => engine.get().buffered(owner.py()),
            None => Ok(None),
        }
    }

    /// The next event of the batch that is here. One that the user's decoders refuse has been read.
    fn buffered<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.opened.get() {
            Some(opened) => opened.buffered(py),
            None => Ok(None),
        }
    }

    fn is_closed(&self) -> bool {
        self.opened.get().is_some_and(|opened| opened.stream.is_closed())
    }
}

impl Opened {
    fn buffered<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(cursor) = self.stream.open_cursor() else { return Ok(None) };
        let raised = |error: Error| errors::to_python(py, &error);
        let Some(mut unread) = cursor.take_unread().map_err(raised)? else { return Ok(None) };
        let at = unread.at;
        let found = unread::next_event(py, &mut unread);
        let last = unread.is_read();
        let noted = match (&found, unread.batch.document_at(at)) {
            (Ok(Some(_)), Some(event)) => self.stream.pass(event, last),
            _ => Ok(()),
        };
        cursor.give_back(unread, found.is_ok().then_some(1));
        if last || found.is_err() || noted.is_err() {
            // One that could not be decoded ends it.
            self.stream.passed(&cursor, noted).map_err(raised)?;
        }
        let Some(decoded) = found? else { return Ok(None) };
        decoded.map(Some)
    }

    /// That of a command of this stream's.
    fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        self.scope.get().documents.exception(py, error)
    }
}

/// Takes a call on to its event, or to the commands that may bring it.
fn advance(owner: &Bound<'_, PyAny>, engine: &Bound<'_, StreamEngine>, end: End) -> PyResult<Step> {
    let py = owner.py();
    if let Some(event) = engine.get().buffered(py)? {
        return Ok(Step::Done(event.unbind()));
    }
    let Some(opened) = engine.get().opened.get().filter(|opened| !opened.stream.is_closed()) else {
        return end.step(py);
    };
    let core = opened.scope.get().core();
    let limit = time_limit::current(py, &core.settings)?;
    let work = opened.stream.clone().advance(core, limit, end.until());
    let (owner, engine) = (owner.clone().unbind(), engine.clone().unbind());
    Ok(Step::Again(task(work, move |py: Python<'_>, advanced: CoreResult<()>| {
        let (owner, engine) = (owner.bind(py), engine.bind(py));
        if let (Err(error), Some(opened)) = (&advanced, engine.get().opened.get()) {
            return Err(opened.exception(py, error));
        }
        match engine.get().buffered(py)? {
            Some(event) => Ok(Step::Done(event.unbind())),
            None if end == End::TryNext => end.step(py),
            None => advance(owner, engine, end), // another caller has taken it
        }
    })))
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
    later(owner, move |owner, engine| advance(owner, engine, end))
}

/// What a change stream of the public classes is derived from: methods, and no field.
#[pyclass(module = "ferromongo._core", subclass, frozen, generic)]
pub struct ChangeStreamBase;

#[pymethods]
impl ChangeStreamBase {
    #[getter]
    fn alive(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(!StreamEngine::of(slf)?.get().is_closed())
    }

    /// The latest cursor, as a public object that Python makes.
    #[getter]
    fn _cursor<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, engine) = (slf.py(), StreamEngine::of(slf)?);
        let Some(opened) = engine.get().opened.get() else { return Ok(None) };
        let Some(cursor) = opened.stream.cursor() else { return Ok(None) };
        let shown = engine.get().shown.lock().as_ref().and_then(|(shown, object)| {
            Arc::ptr_eq(shown, &cursor).then(|| object.bind(py).clone())
        });
        if shown.is_some() {
            return Ok(shown);
        }
        let object = slf.call_method0(name!(py, "_shown_cursor"))?;
        let part = CursorEngine::opened(cursor.clone(), opened.scope.clone_ref(py));
        instance::set_part(&object, part)?;
        let former = engine.get().shown.lock().replace((cursor, object.clone().unbind()));
        drop(former); // not under the lock
        Ok(Some(object))
    }

    /// Opens it. `opening` is its command without the place to begin at: at most one of `token`, which is
    /// `startAfter` or `resumeAfter`, and `time`.
    fn _start(
        slf: Bound<'_, Self>,
        opening: Py<PyAny>,
        token: Option<Py<PyAny>>,
        starts_after: bool,
        time: Option<Py<PyAny>>,
    ) -> PyPending {
        later(slf.into_any(), move |owner, engine| {
            let py = owner.py();
            let opening = Opening::of(opening.bind(py))?;
            let scope = opening.scope().get();
            let core = scope.core();
            let (operation, options) = opening.encode(&core, None)?;
            let token = token.map(|token| scope.documents.value(token.bind(py)));
            let time = time.map(|time| scope.documents.value(time.bind(py))).transpose()?;
            let begin = match (token.transpose()?, time) {
                (Some(token), _) if starts_after => Begin::After(token),
                (Some(token), _) => Begin::Behind(token),
                (None, Some(time)) => Begin::At(time),
                (None, None) => Begin::Now,
            };
            let limit = operation.terms.limit;
            let command = operation.message.body().to_vec();
            let command = RawDocumentBuf::from_bytes(command).expect("it was encoded here");
            let watched = Watched { command, terms: operation.terms, options };
            let stream = Arc::new(ChangeStream::new(watched, Position::new(begin)));
            let opened = Opened { stream: stream.clone(), scope: opening.scope().clone().unbind() };
            let _ = engine.get().opened.set(opened); // `watch` calls it once
            let engine = engine.clone().unbind();
            Ok(Step::Again(task(
                stream.open(core, limit),
                move |py, result: CoreResult<()>| match (result, engine.get().opened.get()) {
                    (Err(error), Some(opened)) => Err(opened.exception(py, &error)),
                    _ => Ok(Step::Done(py.None())),
                },
            )))
        })
    }

    /// The next event if no command has to be sent for it; else None, also at the end.
    fn _buffered<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        StreamEngine::of(slf)?.get().buffered(slf.py())
    }

    /// The resume token as bytes, if one was seen.
    fn _token<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let engine = StreamEngine::of(slf)?;
        let Some(opened) = engine.get().opened.get() else { return Ok(None) };
        Ok(opened.stream.token().map(|token| PyBytes::new(slf.py(), &token)))
    }

    fn _try_next(slf: Bound<'_, Self>) -> PyPending {
        call(slf.into_any(), End::TryNext)
    }

    fn _close(slf: Bound<'_, Self>) -> PyPending {
        later(slf.into_any(), |owner, engine| {
            let py = owner.py();
            let cursor = engine.get().opened.get().and_then(|opened| opened.stream.close());
            cursor.map_or_else(|| Ok(Step::Done(py.None())), |it| cursor::close(py, &it))
        })
    }
}

#[pyclass(module = "ferromongo._core", extends = ChangeStreamBase, subclass, frozen, generic)]
pub struct SyncChangeStreamBase;

#[pymethods]
impl SyncChangeStreamBase {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<SyncChangeStreamBase> {
        PyClassInitializer::from(ChangeStreamBase).add_subclass(SyncChangeStreamBase)
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

#[pyclass(module = "ferromongo._core", extends = ChangeStreamBase, subclass, frozen, generic)]
pub struct AsyncChangeStreamBase;

#[pymethods]
impl AsyncChangeStreamBase {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<AsyncChangeStreamBase> {
        PyClassInitializer::from(ChangeStreamBase).add_subclass(AsyncChangeStreamBase)
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
