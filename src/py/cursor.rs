//! `_core.CursorEngine` and its two iterators: a batch decoded one document at a time.
//!
//! The Python subclass knows what to ask (`_open`); here is everything after: batches, getMore,
//! the end. A cursor is for one caller at a time. The lock is held neither while bytes travel nor
//! while documents are decoded: decoding may run anyone's Python code, on other threads too.

use std::sync::Arc;

use bson::RawDocument;
use parking_lot::Mutex;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::cursor_fetch::{busy, fetch, next_request};
use super::cursor_state::{State, Unread};
use super::errors;
use super::imports;
use super::instance::{self, Part, Plain};
use super::once::name;
use super::pending::{PyPending, Step, task};
use super::time_limit;
use crate::deadline::TimeLimit;
use crate::error::{Error, Result as CoreResult};
use crate::exec::client::ClientCore;
use crate::exec::operation::Outcome;
use crate::ops::cursor::close::{self, Held};

/// What the engine has of a cursor. The public object (`owner` below) holds it, see `instance`.
#[derive(Default)]
#[pyclass(module = "ferromongo._core", frozen)]
pub struct CursorEngine {
    pub(super) state: Mutex<State>,
    plain: Plain,
}

impl Part for CursorEngine {
    fn plain(&self) -> &Plain {
        &self.plain
    }
}

impl CursorEngine {
    pub fn of<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, CursorEngine>> {
        instance::part(owner)
    }

    /// The next document if it is here, and if nothing overrides what `next` does with it.
    fn ready<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match instance::plain_part::<CursorEngine>(owner)? {
            Some(cursor) => cursor.get().buffered(owner.py()),
            None => Ok(None),
        }
    }

    /// The next document of the batch that is here.
    fn buffered<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(mut unread) = self.unread(py)? else { return Ok(None) };
        let found = unread.next(py);
        self.give_back(unread, found.is_ok().then_some(1));
        found
    }

    /// The next documents of the batch that is here; they stay unread.
    fn peek<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyList>> {
        let Some(mut unread) = self.unread(py)? else { return Ok(PyList::empty(py)) };
        let at = unread.at;
        let found = unread.some(py, most);
        unread.at = at;
        self.give_back(unread, Some(0));
        found
    }

    /// The next event of a change stream, with what `look` makes of its bytes and of whether it is the last
    /// of the batch. If the user's decoders fail, that is the event, which has been read.
    pub fn event_with<'py, T>(
        &self,
        py: Python<'py>,
        look: impl FnOnce(&RawDocument, bool) -> T,
    ) -> PyResult<Option<(PyResult<Bound<'py, PyAny>>, T)>> {
        let Some(mut unread) = self.unread(py)? else { return Ok(None) };
        let at = unread.at;
        let found = unread.next_event(py);
        let looked = match &found {
            Ok(Some(_)) => {
                let last = unread.at + 1 >= unread.batch.documents().len();
                unread.batch.document_at(at).map(|document| look(document, last))
            }
            _ => None,
        };
        self.give_back(unread, found.is_ok().then_some(1));
        let Some(event) = found? else { return Ok(None) };
        let malformed = || errors::to_python(py, &Error::protocol("a document has no end"));
        Ok(Some((event, looked.ok_or_else(malformed)?)))
    }

    pub fn has_begun(&self) -> bool {
        self.state.lock().started
    }

    /// Neither is anything left of it nor will more come.
    pub fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.left == 0 && !state.more_to_fetch()
    }

    /// Takes in a reply; on an error the cursor is over. What the server still has of it is closed soon.
    pub fn install(&self, outcome: CoreResult<Outcome>) -> CoreResult<()> {
        let mut state = self.state.lock();
        let installed = state.install(outcome);
        let left_open = state.take_left_open();
        drop(state);
        left_open.into_iter().for_each(|(core, held)| close::kill_later(core, held));
        installed
    }

    /// The same, but an error is raised once the server has closed its cursor.
    pub fn install_or_close(
        &self,
        py: Python<'_>,
        outcome: CoreResult<Outcome>,
        limit: TimeLimit,
    ) -> PyResult<Option<Step>> {
        let mut state = self.state.lock();
        let installed = state.install(outcome);
        let left_open = state.take_left_open();
        drop(state);
        let Err(error) = installed else { return Ok(None) };
        let raised = self.exception(py, &error);
        match left_open {
            Some((core, held)) if !error.is_timeout() => {
                let work = kill(core, held, limit);
                Ok(Some(Step::Again(task(work, |_, ()| Err(raised)))))
            }
            left_open => {
                left_open.into_iter().for_each(|(core, held)| close::kill_later(core, held));
                Err(raised)
            }
        }
    }

    /// That of a command of this cursor's.
    pub fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        let codec =
            self.state.lock().origin.as_ref().map(|origin| origin.scope.get().codec.clone());
        match codec {
            Some(codec) => errors::of_command(py, error, &codec),
            None => errors::to_python(py, error),
        }
    }

    /// Nothing more will be asked of it. What the server still has of it is the caller's to close.
    pub fn abandon(&self) -> Option<(Arc<ClientCore>, Held)> {
        let mut state = self.state.lock();
        let held = state.take_held();
        state.end();
        held
    }

    /// A call was cancelled or interrupted, and documents were lost with it. Continuing after them would
    /// skip them silently: the cursor raises until it is closed or rewound.
    pub fn cut(&self) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        let held = state.take_held();
        state.end();
        (state.cut, state.left, state.batch) = (true, 0, None);
        drop(state);
        if let Some((core, held)) = held {
            close::kill_later(core, held);
        }
    }

    /// The next document, or the task that brings it; `end` raises where there is none.
    fn advance(
        owner: &Bound<'_, PyAny>,
        cursor: &Bound<'_, CursorEngine>,
        end: fn() -> PyErr,
    ) -> PyResult<Step> {
        let py = owner.py();
        loop {
            if let Some(document) = cursor.get().buffered(py)? {
                return Ok(Step::Done(document.unbind()));
            }
            let same = owner.clone().unbind();
            let after = move |py: Python<'_>, cursor: Py<CursorEngine>, _| {
                CursorEngine::advance(same.bind(py), cursor.bind(py), end)
            };
            match fetch(owner, cursor, after)? {
                Some(task) => return Ok(Step::Again(task)),
                None if cursor.get().state.lock().waits_for_more() => continue,
                None => return Err(end()),
            }
        }
    }

    fn next(owner: Bound<'_, PyAny>, end: fn() -> PyErr) -> PyPending {
        later(owner, move |owner, cursor| CursorEngine::advance(owner, cursor, end))
    }

    fn refill(
        owner: &Bound<'_, PyAny>,
        cursor: &Bound<'_, CursorEngine>,
        until_some: bool,
    ) -> PyResult<Step> {
        fn done(py: Python<'_>, left: usize) -> PyResult<Step> {
            Ok(Step::Done(left.into_pyobject(py)?.into_any().unbind()))
        }
        let py = owner.py();
        let left = cursor.get().state.lock().left;
        if left > 0 {
            return done(py, left);
        }
        let same = owner.clone().unbind();
        let after = move |py: Python<'_>, cursor: Py<CursorEngine>, _| {
            // "Nothing now" is what the caller learns here, not at the next call.
            let dry = std::mem::take(&mut cursor.get().state.lock().dry);
            match until_some && !dry {
                true => CursorEngine::refill(same.bind(py), cursor.bind(py), true),
                false => done(py, cursor.get().state.lock().left),
            }
        };
        fetch(owner, cursor, after)?.map_or_else(|| done(py, 0), |task| Ok(Step::Again(task)))
    }

    pub fn close(&self, py: Python<'_>) -> PyResult<Step> {
        let held = self.abandon();
        self.state.lock().cut = false;
        let Some((core, held)) = held else { return Ok(Step::Done(py.None())) };
        let limit = time_limit::current(py, &core.settings)?;
        Ok(Step::Again(task(kill(core, held, limit), |py, ()| Ok(Step::Done(py.None())))))
    }

    /// Takes the batch for decoding; `None` when it has been read.
    fn unread(&self, py: Python<'_>) -> PyResult<Option<Box<Unread>>> {
        let mut state = self.state.lock();
        let session = state.origin.as_ref().map(|origin| &origin.terms.session);
        if session.is_some_and(|session| session.is_past_its_transaction()) && state.left > 0 {
            // Whether a result is whole must not depend on how much of it the first batch held.
            drop(state);
            return Err(errors::to_python(py, &Error::transaction_ended()));
        }
        match state.batch.take() {
            Some(unread) if state.left > 0 => Ok(Some(unread)),
            None if state.left > 0 => Err(busy()),
            _ => Ok(None), // its buffer is ready for the next reply
        }
    }

    /// `None`: not decoded, and it could not be the next time either. The cursor is over, as PyMongo's.
    fn give_back(&self, unread: Box<Unread>, decoded: Option<usize>) {
        let mut state = self.state.lock();
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

async fn kill(core: Arc<ClientCore>, held: Held, limit: TimeLimit) {
    if close::kill(&core, held.clone(), limit).await.is_err() {
        close::kill_later(core, held);
    }
}

/// A call of `owner`'s that begins when it is awaited.
fn later(
    owner: Bound<'_, PyAny>,
    begin: impl FnOnce(&Bound<'_, PyAny>, &Bound<'_, CursorEngine>) -> PyResult<Step> + Send + 'static,
) -> PyPending {
    let owner = owner.unbind();
    PyPending::later(move |py| {
        let owner = owner.into_bound(py);
        begin(&owner, &CursorEngine::of(&owner)?)
    })
}

/// What a cursor of the public classes is derived from: methods, and no field.
#[pyclass(module = "ferromongo._core", subclass, frozen, generic)]
pub struct CursorCore;

#[pymethods]
impl CursorCore {
    /// Whether there may be more documents: False once the last was read, or after `close()`.
    #[getter]
    fn alive(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(!CursorEngine::of(slf)?.get().is_over())
    }

    /// The server's number for the cursor: None before it was asked, 0 when all has been sent.
    #[getter]
    fn cursor_id<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let id = CursorEngine::of(slf)?.get().state.lock().cursor_id;
        // An Int64: servers take no shorter integer for it, and a small one would become that.
        id.map(|id| imports::INT64.get(slf.py())?.call1((id,))).transpose()
    }

    /// How many documents have been received so far, read or not.
    #[getter]
    fn retrieved(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(CursorEngine::of(slf)?.get().state.lock().retrieved)
    }

    /// The (host, port) of the server that holds the documents; None before it was asked.
    #[getter]
    fn address(slf: &Bound<'_, Self>) -> PyResult<Option<(String, Option<i64>)>> {
        let address = CursorEngine::of(slf)?.get().state.lock().address.clone();
        Ok(address.map(|address| (address.host, address.port)))
    }

    fn _started(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(CursorEngine::of(slf)?.get().has_begun())
    }

    fn _start(slf: Bound<'_, Self>) -> PyPending {
        later(slf.into_any(), |owner, cursor| {
            let first = match cursor.get().has_begun() {
                true => None,
                false => fetch(owner, cursor, |py, _, _| Ok(Step::Done(py.None())))?,
            };
            Ok(first.map_or_else(|| Step::Done(owner.py().None()), Step::Again))
        })
    }

    /// How many items are here without a command; if none, as many as the next one brings, or
    /// `until_some` are or it ends.
    fn _refill(slf: Bound<'_, Self>, until_some: bool) -> PyPending {
        later(slf.into_any(), move |owner, cursor| {
            cursor.get().state.lock().dry = false;
            CursorEngine::refill(owner, cursor, until_some)
        })
    }

    fn _at_hand(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(CursorEngine::of(slf)?.get().state.lock().left)
    }

    /// The next item if no command has to be sent for it; else None, also at the end.
    fn _buffered<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        CursorEngine::of(slf)?.get().buffered(slf.py())
    }

    /// Whether iteration has not been overridden or patched.
    fn _is_plain(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(instance::plain_part::<CursorEngine>(slf)?.is_some())
    }

    /// The next items, at most `most`, if they are here. They stay to be read.
    fn _peek<'py>(slf: &Bound<'py, Self>, most: usize) -> PyResult<Bound<'py, PyList>> {
        CursorEngine::of(slf)?.get().peek(slf.py(), most)
    }

    /// The next item if there is one now: at most one command is sent.
    fn _try_next(slf: Bound<'_, Self>) -> PyPending {
        later(slf.into_any(), |owner, cursor| {
            let py = owner.py();
            if let Some(item) = cursor.get().buffered(py)? {
                return Ok(Step::Done(item.unbind()));
            }
            cursor.get().state.lock().dry = false;
            let next = fetch(owner, cursor, |py, cursor, _| {
                cursor.get().state.lock().dry = false; // reported by `None` already
                let item = cursor.get().buffered(py)?;
                Ok(Step::Done(item.map_or_else(|| py.None(), Bound::unbind)))
            })?;
            Ok(next.map_or_else(|| Step::Done(py.None()), Step::Again))
        })
    }

    fn _set_batch_size(slf: &Bound<'_, Self>, batch_size: i64) -> PyResult<()> {
        if let Some(origin) = &mut CursorEngine::of(slf)?.get().state.lock().origin {
            origin.batch_size = batch_size;
        }
        Ok(())
    }

    #[pyo3(signature = (length = None))]
    fn _fetch_all(slf: Bound<'_, Self>, length: Option<usize>) -> PyPending {
        later(slf.into_any(), move |owner, cursor| {
            let py = owner.py();
            let (owner, cursor) = (owner.clone().unbind(), cursor.clone().unbind());
            let gathered = Gathered { owner, cursor, list: PyList::empty(py).unbind(), count: 0 };
            gathered.more(py, length.unwrap_or(usize::MAX), None)
        })
    }

    fn _close(slf: Bound<'_, Self>) -> PyPending {
        later(slf.into_any(), |owner, cursor| cursor.get().close(owner.py()))
    }

    fn _reset(slf: &Bound<'_, Self>) -> PyResult<()> {
        let former = std::mem::take(&mut *CursorEngine::of(slf)?.get().state.lock());
        drop(former);
        Ok(())
    }
}

impl Drop for CursorEngine {
    fn drop(&mut self) {
        if let Some((core, held)) = self.state.get_mut().take_held() {
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
        PyClassInitializer::from(CursorCore).add_subclass(SyncCursorCore)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// `for` takes the documents that are here past Python's `next`, unless that is overridden.
    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match CursorEngine::ready(slf)? {
            Some(document) => Ok(document),
            None => slf.call_method0(name!(slf.py(), "next")),
        }
    }

    fn _next(slf: Bound<'_, Self>) -> PyPending {
        CursorEngine::next(slf.into_any(), || PyStopIteration::new_err(()))
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
        PyClassInitializer::from(CursorCore).add_subclass(AsyncCursorCore)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// For `__anext__`: the next document if it is here, and if no `next` is overridden; else None.
    fn _ready<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        CursorEngine::ready(slf)
    }

    fn _next(slf: Bound<'_, Self>) -> PyPending {
        CursorEngine::next(slf.into_any(), || PyStopAsyncIteration::new_err(()))
    }
}

/// The documents that a `to_list` has so far.
struct Gathered {
    owner: Py<PyAny>,
    cursor: Py<CursorEngine>,
    list: Py<PyList>,
    count: usize,
}

impl Gathered {
    /// Decodes what is buffered in slices, so that an event loop is never held for long.
    fn more(mut self, py: Python<'_>, length: usize, limit: Option<TimeLimit>) -> PyResult<Step> {
        if self.count >= length {
            return Ok(self.whole());
        }
        if let Some(mut unread) = self.cursor.get().unread(py)? {
            let decoded = unread.some(py, length - self.count);
            let count = decoded.as_ref().ok().map(|decoded| decoded.len());
            self.cursor.get().give_back(unread, count);
            self.list.bind(py).set_slice(self.count, self.count, decoded?.as_any())?;
            self.count += count.unwrap_or(0);
            let kept = Kept(Some(self));
            let after = move |py: Python<'_>, ()| kept.take().more(py, length, limit);
            return Ok(Step::Pause(task(std::future::ready(()), after)));
        }
        let Some(request) = next_request(self.owner.bind(py), self.cursor.bind(py), limit)? else {
            return Ok(self.whole());
        };
        let kept = Kept(Some(self));
        Ok(Step::Again(request.fetch(move |py, cursor, limit| {
            let gathered = kept.take();
            if cursor.get().state.lock().has_caught_up() {
                return Ok(gathered.whole());
            }
            gathered.more(py, length, Some(limit))
        })))
    }

    fn whole(self) -> Step {
        Step::Done(self.list.into_any())
    }
}

/// Between the steps of a `to_list`: given up there, the documents are lost.
struct Kept(Option<Gathered>);

impl Kept {
    fn take(mut self) -> Gathered {
        self.0.take().expect("taken once")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(gathered) = &self.0
            && gathered.count > 0
        {
            gathered.cursor.get().cut();
        }
    }
}
