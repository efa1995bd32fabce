//! `to_list`: all documents of a cursor, decoded in slices, so that an event loop is never held for long. Each
//! batch is asked for while the one before is decoded.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::cursor::CursorEngine;
use super::cursor_fetch::{next_fetch, send};
use super::task::{Step, task};
use super::unread;
use crate::deadline::TimeLimit;

/// The documents so far.
pub struct Gathered {
    owner: Py<PyAny>,
    engine: Py<CursorEngine>,
    list: Py<PyList>,
    count: usize,
}

impl Gathered {
    pub fn new(owner: &Bound<'_, PyAny>, engine: &Bound<'_, CursorEngine>) -> Gathered {
        let list = PyList::empty(owner.py()).unbind();
        Gathered { owner: owner.clone().unbind(), engine: engine.clone().unbind(), list, count: 0 }
    }

    pub fn more(
        mut self,
        py: Python<'_>,
        length: usize,
        limit: Option<TimeLimit>,
    ) -> PyResult<Step> {
        if self.count >= length {
            return Ok(self.whole());
        }
        if let Some(mut unread) = self.engine.get().take_unread(py)? {
            let decoded = unread::some(py, &mut unread, length - self.count);
            let count = decoded.as_ref().ok().map(|decoded| decoded.len());
            let cursor = self.engine.get().cursor().clone();
            cursor.give_back(unread, count);
            self.list.bind(py).set_slice(self.count, self.count, decoded?.as_any())?;
            self.count += count.unwrap_or(0);
            let kept = Kept(Some(self));
            let after = move |py: Python<'_>, ()| kept.take().more(py, length, limit);
            return Ok(Step::Pause(task(cursor.take_in_ahead(), after)));
        }
        let Some(fetch) = next_fetch(self.owner.bind(py), self.engine.get(), limit)? else {
            return Ok(self.whole());
        };
        let (engine, wanted) = (self.engine.clone_ref(py), length.saturating_sub(self.count));
        let kept = Kept(Some(self));
        Ok(Step::Again(send(fetch, engine, wanted, move |py, engine, limit| {
            let gathered = kept.take();
            match engine.cursor().has_caught_up() {
                true => Ok(gathered.whole()),
                false => gathered.more(py, length, Some(limit)),
            }
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
            gathered.engine.get().cursor().cut();
        }
    }
}
