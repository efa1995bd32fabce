//! `_core.CursorBase` and its two iterators: a batch decoded one document at a time.
//!
//! The Python subclass knows what to ask (`_open`), `ops::cursor` everything after: batches, getMore, the end.

use std::sync::Arc;

use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyNotImplemented, PyTuple};

use super::cursor_fetch::fetch;
use super::cursor_list::Gathered;
use super::instance::{self, Part, Plain};
use super::once::name;
use super::pending::PyPending;
use super::scope::PyScope;
use super::task::{Step, task};
use super::{errors, imports, time_limit, unread};
use crate::error::Error;
use crate::exec::client::ClientCore;
use crate::ops::cursor::close;
use crate::ops::cursor::server_cursor::ServerCursor;
use crate::ops::cursor::unread::Unread;
use crate::sync::Mutex;

/// What the engine has of a cursor. The public object (`owner` below) holds it, see `instance`.
#[derive(Default)]
#[pyclass(module = "ferromongo._core", frozen)]
pub struct CursorEngine {
    cursor: Arc<ServerCursor>,
    /// Of its first command.
    scope: Mutex<Option<Py<PyScope>>>,
    plain: Plain,
}

impl Part for CursorEngine {
    fn plain(&self) -> &Plain {
        &self.plain
    }
}

impl CursorEngine {
    /// Of a cursor that was opened by the engine.
    pub fn opened(cursor: Arc<ServerCursor>, scope: Py<PyScope>) -> CursorEngine {
        CursorEngine { cursor, scope: Mutex::new(Some(scope)), plain: Plain::default() }
    }

    pub fn of<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, CursorEngine>> {
        instance::part(owner)
    }

    pub fn cursor(&self) -> &Arc<ServerCursor> {
        &self.cursor
    }

    fn scope(&self, py: Python<'_>) -> Option<Py<PyScope>> {
        self.scope.lock().as_ref().map(|scope| scope.clone_ref(py))
    }

    pub fn note_scope(&self, scope: Bound<'_, PyScope>) {
        let former = self.scope.lock().replace(scope.unbind());
        drop(former); // not under the lock
    }

    /// That of this process: a child that goes on with its parent's cursor has connections of its own. `None`
    /// before the first command.
    pub fn core(&self, py: Python<'_>) -> Option<Arc<ClientCore>> {
        self.scope(py).map(|scope| scope.get().core())
    }

    /// That of a command of this cursor's.
    pub fn exception(&self, py: Python<'_>, error: &Error) -> PyErr {
        match self.scope(py) {
            Some(scope) => scope.get().documents.exception(py, error),
            None => errors::to_python(py, error),
        }
    }

    /// The next document if it is here, and if nothing overrides what `next` does with it.
    fn ready<'py>(owner: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match instance::plain_part::<CursorEngine>(owner)? {
            Some(engine) => engine.get().buffered(owner.py()),
            None => Ok(None),
        }
    }

    /// The next document of the batch that is here.
    pub fn buffered<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(mut unread) = self.take_unread(py)? else { return Ok(None) };
        let found = unread::next(py, &mut unread);
        self.cursor.give_back(unread, found.is_ok().then_some(1));
        found
    }

    /// The next documents of the batch that is here; they stay unread.
    fn peek<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyList>> {
        let Some(mut unread) = self.take_unread(py)? else { return Ok(PyList::empty(py)) };
        let at = unread.at;
        let found = unread::some(py, &mut unread, most);
        unread.at = at;
        self.cursor.give_back(unread, Some(0));
        found
    }

    /// The batch that is here, to be given back to the cursor.
    pub fn take_unread(&self, py: Python<'_>) -> PyResult<Option<Box<Unread>>> {
        self.cursor.take_unread().map_err(|error| errors::to_python(py, &error))
    }

    /// The next document, or the task that brings it; `end` raises where there is none.
    fn advance(
        owner: &Bound<'_, PyAny>,
        engine: &Bound<'_, CursorEngine>,
        end: fn() -> PyErr,
    ) -> PyResult<Step> {
        let py = owner.py();
        loop {
            if let Some(document) = engine.get().buffered(py)? {
                return Ok(Step::Done(document.unbind()));
            }
            let (owner_then, engine_then) = (owner.clone().unbind(), engine.clone().unbind());
            let after = move |py: Python<'_>, _: &CursorEngine, _| {
                CursorEngine::advance(owner_then.bind(py), engine_then.bind(py), end)
            };
            match fetch(owner, engine, after)? {
                Some(task) => return Ok(Step::Again(task)),
                None if engine.get().cursor.waits_for_more() => continue,
                None => return Err(end()),
            }
        }
    }

    fn next(owner: Bound<'_, PyAny>, end: fn() -> PyErr) -> PyPending {
        later(owner, move |owner, engine| CursorEngine::advance(owner, engine, end))
    }

    fn refill(
        owner: &Bound<'_, PyAny>,
        engine: &Bound<'_, CursorEngine>,
        until_some: bool,
    ) -> PyResult<Step> {
        fn done(py: Python<'_>, left: usize) -> PyResult<Step> {
            Ok(Step::Done(left.into_pyobject(py)?.into_any().unbind()))
        }
        let py = owner.py();
        let left = engine.get().cursor.at_hand();
        if left > 0 {
            return done(py, left);
        }
        let (owner_then, engine_then) = (owner.clone().unbind(), engine.clone().unbind());
        let after = move |py: Python<'_>, engine: &CursorEngine, _| {
            // "Nothing now" is what the caller learns here, not at the next call.
            match until_some && !engine.cursor.take_dry() {
                true => CursorEngine::refill(owner_then.bind(py), engine_then.bind(py), true),
                false => done(py, engine.cursor.at_hand()),
            }
        };
        fetch(owner, engine, after)?.map_or_else(|| done(py, 0), |task| Ok(Step::Again(task)))
    }
}

/// Closes a cursor, and the server's.
pub fn close(py: Python<'_>, cursor: &Arc<ServerCursor>) -> PyResult<Step> {
    let Some(core) = cursor.closer() else {
        cursor.close();
        return Ok(Step::Done(py.None()));
    };
    let limit = time_limit::current(py, &core.settings)?;
    let cursor = cursor.clone();
    // A batch that was asked for ahead is given up within the call, which tells listeners of it.
    let work = async move {
        if let Some((core, held)) = cursor.close() {
            close::kill_now_or_later(core, held, limit).await;
        }
    };
    Ok(Step::Again(task(work, |py, ()| Ok(Step::Done(py.None())))))
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
pub struct CursorBase;

#[pymethods]
impl CursorBase {
    /// Whether there may be more documents: False once the last was read, or after `close()`.
    #[getter]
    fn alive(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(!CursorEngine::of(slf)?.get().cursor.is_over())
    }

    /// The server's number for the cursor: None before it was asked, 0 when all has been sent.
    #[getter]
    fn cursor_id<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let id = CursorEngine::of(slf)?.get().cursor.id();
        // An Int64: servers take no shorter integer for it, and a small one would become that.
        id.map(|id| imports::INT64.get(slf.py())?.call1((id,))).transpose()
    }

    /// How many documents have been received so far, read or not.
    #[getter]
    fn retrieved(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(CursorEngine::of(slf)?.get().cursor.retrieved())
    }

    /// The (host, port) of the server that holds the documents; None before it was asked.
    #[getter]
    fn address(slf: &Bound<'_, Self>) -> PyResult<Option<(String, Option<i64>)>> {
        let address = CursorEngine::of(slf)?.get().cursor.address();
        Ok(address.map(|address| (address.host, address.port)))
    }

    fn _started(slf: &Bound<'_, Self>) -> PyResult<bool> {
        Ok(CursorEngine::of(slf)?.get().cursor.has_begun())
    }

    fn _start(slf: Bound<'_, Self>) -> PyPending {
        later(slf.into_any(), |owner, engine| {
            let first = match engine.get().cursor.has_begun() {
                true => None,
                false => fetch(owner, engine, |py, _, _| Ok(Step::Done(py.None())))?,
            };
            Ok(first.map_or_else(|| Step::Done(owner.py().None()), Step::Again))
        })
    }

    /// How many items are here without a command; if none, as many as the next one brings, or
    /// `until_some` are or it ends.
    fn _refill(slf: Bound<'_, Self>, until_some: bool) -> PyPending {
        later(slf.into_any(), move |owner, engine| {
            engine.get().cursor.take_dry();
            CursorEngine::refill(owner, engine, until_some)
        })
    }

    fn _at_hand(slf: &Bound<'_, Self>) -> PyResult<usize> {
        Ok(CursorEngine::of(slf)?.get().cursor.at_hand())
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
        later(slf.into_any(), |owner, engine| {
            let py = owner.py();
            if let Some(item) = engine.get().buffered(py)? {
                return Ok(Step::Done(item.unbind()));
            }
            engine.get().cursor.take_dry();
            let next = fetch(owner, engine, |py, engine, _| {
                engine.cursor.take_dry(); // reported by `None` already
                let item = engine.buffered(py)?;
                Ok(Step::Done(item.map_or_else(|| py.None(), Bound::unbind)))
            })?;
            Ok(next.map_or_else(|| Step::Done(py.None()), Step::Again))
        })
    }

    fn _set_batch_size(slf: &Bound<'_, Self>, batch_size: i64) -> PyResult<()> {
        CursorEngine::of(slf)?.get().cursor.set_batch_size(batch_size);
        Ok(())
    }

    fn _set_read_ahead(slf: &Bound<'_, Self>, reads_ahead: bool) -> PyResult<()> {
        CursorEngine::of(slf)?.get().cursor.set_read_ahead(reads_ahead);
        Ok(())
    }

    #[pyo3(signature = (length = None))]
    fn _fetch_all(slf: Bound<'_, Self>, length: Option<usize>) -> PyPending {
        later(slf.into_any(), move |owner, engine| {
            Gathered::new(owner, engine).more(owner.py(), length.unwrap_or(usize::MAX), None)
        })
    }

    fn _close(slf: Bound<'_, Self>) -> PyPending {
        later(slf.into_any(), |owner, engine| close(owner.py(), &engine.get().cursor))
    }

    fn _reset(slf: &Bound<'_, Self>) -> PyResult<()> {
        CursorEngine::of(slf)?.get().cursor.rewind();
        Ok(())
    }
}

#[pyclass(module = "ferromongo._core", extends = CursorBase, subclass, frozen, generic)]
pub struct SyncCursorBase;

#[pymethods]
impl SyncCursorBase {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<SyncCursorBase> {
        PyClassInitializer::from(CursorBase).add_subclass(SyncCursorBase)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// `list()` and `tuple()` ask for it, a `for` does not: all documents are wanted.
    fn __length_hint__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<Borrowed<'py, 'py, PyNotImplemented>> {
        CursorEngine::of(slf)?.get().cursor.set_read_ahead(true);
        Ok(PyNotImplemented::get(slf.py()))
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

#[pyclass(module = "ferromongo._core", extends = CursorBase, subclass, frozen, generic)]
pub struct AsyncCursorBase;

#[pymethods]
impl AsyncCursorBase {
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(
        _arguments: &Bound<'_, PyTuple>,
        _keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<AsyncCursorBase> {
        PyClassInitializer::from(CursorBase).add_subclass(AsyncCursorBase)
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
