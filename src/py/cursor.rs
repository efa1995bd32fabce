//! `_core.CursorCore` and its two iterators: a batch decoded one document at a time.
//!
//! The Python subclass knows what to ask (`_open`); here is everything after: batches, getMore,
//! the end. A cursor is for one caller at a time. The lock is held neither while bytes travel nor
//! while documents are decoded: decoding may run anyone's Python code, on other threads too.

use std::sync::Arc;

use bson::RawDocument;
use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::cursor_state::{Origin, State, Unread};
use super::errors;
use super::imports;
use super::once::name;
use super::pending::{PyPending, Step, Task, run_blocking, task};
use super::scope::{PyScope, run_owned};
use super::session::PySession;
use super::time_limit;
use crate::codec;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result as CoreResult};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Outcome};
use crate::net::fork;
use crate::ops::cursor::close::{self, Held};

#[pyclass(module = "ferromongo._core", subclass, frozen, generic)]
pub struct CursorCore(Mutex<State>);

impl CursorCore {
    fn new() -> CursorCore {
        CursorCore(Mutex::default())
    }

    /// The next document of the batch that is here.
    fn buffered<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(mut unread) = self.unread()? else { return Ok(None) };
        let found = unread.next(py);
        self.give_back(unread, found.is_ok().then_some(1));
        found
    }

    /// The same, with what `look` makes of its bytes and of whether it is the last of the batch.
    pub fn buffered_with<'py, T>(
        &self,
        py: Python<'py>,
        look: impl FnOnce(&RawDocument, bool) -> T,
    ) -> PyResult<Option<(Bound<'py, PyAny>, T)>> {
        let Some(mut unread) = self.unread()? else { return Ok(None) };
        let at = unread.at;
        let found = unread.next(py);
        let looked = match &found {
            Ok(Some(_)) => {
                let last = unread.at + 1 >= unread.batch.documents().len();
                unread.batch.document_at(at).map(|document| look(document, last))
            }
            _ => None,
        };
        self.give_back(unread, found.is_ok().then_some(1));
        let Some(document) = found? else { return Ok(None) };
        let malformed = || errors::to_python(py, &Error::protocol("a document has no end"));
        Ok(Some((document, looked.ok_or_else(malformed)?)))
    }

    /// Neither is anything left of it nor will more come.
    pub fn is_over(&self) -> bool {
        let state = self.0.lock();
        state.left == 0 && !state.more_to_fetch()
    }

    /// Takes in a reply; on an error the cursor is over.
    pub fn install(&self, outcome: CoreResult<Outcome>) -> CoreResult<()> {
        self.0.lock().install(outcome)
    }

    /// Nothing more will be asked of it. What the server still has of it is the caller's to close.
    pub fn abandon(&self) -> Option<(Arc<ClientCore>, Held)> {
        let mut state = self.0.lock();
        let held = state.take_held();
        state.end();
        held
    }

    /// Takes the batch for decoding; `None` when it has been read.
    fn unread(&self) -> PyResult<Option<Box<Unread>>> {
        let mut state = self.0.lock();
        match state.batch.take() {
            Some(unread) if state.left > 0 => Ok(Some(unread)),
            None if state.left > 0 => Err(busy()),
            _ => Ok(None), // its buffer is ready for the next reply
        }
    }

    /// `None`: not decoded, and it could not be the next time either. The cursor is over, as PyMongo's.
    fn give_back(&self, unread: Box<Unread>, decoded: Option<usize>) {
        let mut state = self.0.lock();
        if state.left == 0 || state.batch.is_some() {
            return; // the cursor was rewound meanwhile
        }
        state.left = decoded.map_or(0, |decoded| state.left - decoded);
        if decoded.is_none() {
            drop(state);
            if let Some((core, held)) = self.abandon() {
                close::kill_later(core, held);
            }
        } else if state.left > 0 {
            state.batch = Some(unread);
        }
    }
}

pub fn busy() -> PyErr {
    PyRuntimeError::new_err("this cursor is in use by another caller")
}

/// The command that brings the next batch: the first one, or getMore. `None` at the end. Without a
/// limit to keep `within` it gets that of a call that begins now.
pub fn next_request(
    cursor: &Bound<'_, CursorCore>,
    within: Option<TimeLimit>,
) -> PyResult<Option<(Arc<ClientCore>, Operation)>> {
    let py = cursor.py();
    // Not under the lock: a child's core is made when it is first asked for, and Python may run then.
    let scope = cursor.get().0.lock().origin.as_ref().map(|origin| origin.scope.clone_ref(py));
    let core = scope.map(|scope| scope.get().core());
    let within = match (within, core) {
        (None, Some(core)) => Some(time_limit::current(py, &core.settings)?),
        (given, _) => given,
    };
    let mut state = cursor.get().0.lock();
    if !state.more_to_fetch() || std::mem::take(&mut state.dry) {
        return Ok(None);
    }
    if state.fetching {
        return Err(busy());
    }
    if state.started {
        return Ok(state.get_more(within.unwrap_or_default()));
    }
    drop(state);
    let opened = cursor.call_method0(name!(py, "_open"))?;
    if opened.is_none() {
        let mut state = cursor.get().0.lock();
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
    let message = scope.encode(&command)?;
    let session = session.as_ref().map(|session| session.get());
    let kind = if any_command { Kind::Command } else { Kind::read_of(&message) };
    let mut terms = scope.terms(py, &core, kind, session, None)?;
    terms.limit = within.unwrap_or(terms.limit);
    terms.opens_cursor = true;
    terms.exhaust = exhaust;
    let mut state = cursor.get().0.lock();
    state.started = true;
    let former = state.origin.replace(Origin {
        scope: handle,
        terms: terms.clone(),
        batch_size,
        limit,
        extra: elements,
        tailable,
        raw,
        born_in: fork::generation(),
    });
    drop(state);
    drop(former);
    Ok(Some((core, Operation { message, terms })))
}

/// A task that fetches the next batch and then goes on with `after`, which may fetch more within the
/// same limit.
fn fetch(
    cursor: &Bound<'_, CursorCore>,
    limit: Option<TimeLimit>,
    after: impl FnOnce(Python<'_>, Py<CursorCore>, TimeLimit) -> PyResult<Step> + Send + 'static,
) -> PyResult<Option<Box<dyn Task>>> {
    let Some((core, operation)) = next_request(cursor, limit)? else { return Ok(None) };
    let limit = operation.terms.limit;
    let finish = move |py: Python<'_>, cursor: Py<CursorCore>, outcome| {
        let installed = cursor.get().install(outcome);
        installed.map_err(|error| errors::to_python(py, &error))?;
        after(py, cursor, limit)
    };
    Ok(Some(send(cursor, run_owned(core, operation), finish)))
}

/// A task that does the `work` of fetching a batch; `finish` takes it in.
pub fn send(
    cursor: &Bound<'_, CursorCore>,
    work: impl Future<Output = CoreResult<Outcome>> + Send + 'static,
    finish: impl FnOnce(Python<'_>, Py<CursorCore>, CoreResult<Outcome>) -> PyResult<Step>
    + Send
    + 'static,
) -> Box<dyn Task> {
    cursor.get().0.lock().fetching = true;
    let mut underway = Underway(Some(cursor.clone().unbind()));
    task(work, move |py: Python<'_>, outcome| {
        let cursor = underway.0.take().expect("finished once");
        cursor.get().0.lock().fetching = false;
        finish(py, cursor, outcome)
    })
}

/// A cursor whose next batch is on its way. Cancelled or interrupted, the batch may be lost: to go on
/// would skip its documents without a word, so the cursor is over.
struct Underway(Option<Py<CursorCore>>);

impl Drop for Underway {
    fn drop(&mut self) {
        let Some(cursor) = &self.0 else { return };
        cursor.get().0.lock().fetching = false;
        if let Some((core, held)) = cursor.get().abandon() {
            close::kill_later(core, held);
        }
    }
}

#[pymethods]
impl CursorCore {
    /// Whether there may be more documents: False once the last was read, or after `close()`.
    #[getter]
    fn alive(&self) -> bool {
        !self.is_over()
    }

    /// The server's number for the cursor: None before it was asked, 0 when all has been sent.
    #[getter]
    fn cursor_id<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let id = self.0.lock().cursor_id;
        // An Int64: servers take no shorter integer for it, and a small one would become that.
        id.map(|id| imports::INT64.get(py)?.call1((id,))).transpose()
    }

    /// How many documents have been received so far, read or not.
    #[getter]
    fn retrieved(&self) -> usize {
        self.0.lock().retrieved
    }

    /// The (host, port) of the server that holds the documents; None before it was asked.
    #[getter]
    fn address(&self) -> Option<(String, Option<u16>)> {
        let address = self.0.lock().address.clone()?;
        let port = (!address.is_unix_socket()).then_some(address.port);
        Some((address.host, port))
    }

    fn _started(&self) -> bool {
        self.0.lock().started
    }

    fn _start(slf: Bound<'_, Self>) -> PyResult<PyPending> {
        let py = slf.py();
        let first = if slf.get()._started() {
            None
        } else {
            fetch(&slf, None, |py, _, _| Ok(Step::Done(py.None())))?
        };
        Ok(first.map_or_else(|| PyPending::known(Ok(py.None())), PyPending::new))
    }

    /// The next item if there is one now: at most one command is sent.
    fn _try_next(slf: Bound<'_, Self>) -> PyResult<PyPending> {
        let py = slf.py();
        if let Some(item) = slf.get().buffered(py)? {
            return Ok(PyPending::known(Ok(item.unbind())));
        }
        slf.get().0.lock().dry = false;
        let next = fetch(&slf, None, |py, cursor, _| {
            cursor.get().0.lock().dry = false; // told by `None` already
            let item = cursor.get().buffered(py)?;
            Ok(Step::Done(item.map_or_else(|| py.None(), Bound::unbind)))
        })?;
        Ok(next.map_or_else(|| PyPending::known(Ok(py.None())), PyPending::new))
    }

    fn _set_batch_size(&self, batch_size: i64) {
        if let Some(origin) = &mut self.0.lock().origin {
            origin.batch_size = batch_size;
        }
    }

    #[pyo3(signature = (length = None))]
    fn _fetch_all(slf: Bound<'_, Self>, length: Option<usize>) -> PyResult<PyPending> {
        let py = slf.py();
        let list = PyList::empty(py).unbind();
        match collect(py, slf.unbind(), list, length.unwrap_or(usize::MAX), None)? {
            Step::Done(list) => Ok(PyPending::known(Ok(list))),
            Step::Again(task) | Step::Pause(task) => Ok(PyPending::new(task)),
        }
    }

    pub fn _close(&self, py: Python<'_>) -> PyResult<PyPending> {
        let Some((core, held)) = self.abandon() else { return Ok(PyPending::known(Ok(py.None()))) };
        let limit = time_limit::current(py, &core.settings)?;
        let work = async move {
            if close::kill(&core, held.clone(), limit).await.is_err() {
                close::kill_later(core, held);
            }
        };
        Ok(PyPending::new(task(work, |py, ()| Ok(Step::Done(py.None())))))
    }

    fn _reset(&self) {
        let former = std::mem::take(&mut *self.0.lock());
        drop(former);
    }
}

impl Drop for CursorCore {
    fn drop(&mut self) {
        if let Some((core, held)) = self.0.get_mut().take_held() {
            close::kill_later(core, held);
        }
    }
}

#[pyclass(module = "ferromongo._core", extends = CursorCore, subclass, frozen, generic)]
pub struct SyncCursorCore;

#[pymethods]
impl SyncCursorCore {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<SyncCursorCore> {
        PyClassInitializer::from(CursorCore::new()).add_subclass(SyncCursorCore)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, cursor) = (slf.py(), slf.as_super());
        loop {
            if let Some(document) = cursor.get().buffered(py)? {
                return Ok(Some(document));
            }
            match fetch(cursor, None, |py, _, _| Ok(Step::Done(py.None())))? {
                Some(task) => run_blocking(py, task)?,
                None if cursor.get().0.lock().waits_for_more() => continue,
                None => return Ok(None),
            };
        }
    }
}

#[pyclass(module = "ferromongo._core", extends = CursorCore, subclass, frozen, generic)]
pub struct AsyncCursorCore;

#[pymethods]
impl AsyncCursorCore {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<AsyncCursorCore> {
        PyClassInitializer::from(CursorCore::new()).add_subclass(AsyncCursorCore)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(slf: &Bound<'_, Self>) -> PyResult<PyPending> {
        match next_of(slf.as_super())? {
            Step::Done(document) => Ok(PyPending::known(Ok(document))),
            Step::Again(task) | Step::Pause(task) => Ok(PyPending::new(task)),
        }
    }
}

fn next_of(cursor: &Bound<'_, CursorCore>) -> PyResult<Step> {
    let py = cursor.py();
    if let Some(document) = cursor.get().buffered(py)? {
        return Ok(Step::Done(document.unbind()));
    }
    match fetch(cursor, None, |py, cursor, _| next_of(cursor.bind(py)))? {
        Some(task) => Ok(Step::Again(task)),
        None if cursor.get().0.lock().waits_for_more() => next_of(cursor),
        None => Err(PyStopAsyncIteration::new_err(())),
    }
}

/// `to_list`: decodes what is buffered in slices, so that an event loop is never held for long.
fn collect(
    py: Python<'_>,
    cursor: Py<CursorCore>,
    list: Py<PyList>,
    length: usize,
    limit: Option<TimeLimit>,
) -> PyResult<Step> {
    let gathered = list.bind(py);
    if gathered.len() >= length {
        return Ok(Step::Done(list.into_any()));
    }
    if let Some(mut unread) = cursor.get().unread()? {
        let decoded = unread.some(py, length - gathered.len());
        cursor.get().give_back(unread, decoded.as_ref().ok().map(|decoded| decoded.len()));
        let end = gathered.len();
        gathered.set_slice(end, end, decoded?.as_any())?;
        let after = move |py: Python<'_>, ()| collect(py, cursor, list, length, limit);
        return Ok(Step::Pause(task(std::future::ready(()), after)));
    }
    let whole = list.clone_ref(py);
    let after = move |py: Python<'_>, cursor: Py<CursorCore>, limit| {
        if cursor.get().0.lock().has_caught_up() {
            return Ok(Step::Done(list.into_any()));
        }
        collect(py, cursor, list, length, Some(limit))
    };
    match fetch(cursor.bind(py), limit, after)? {
        Some(task) => Ok(Step::Again(task)),
        None => Ok(Step::Done(whole.into_any())),
    }
}
