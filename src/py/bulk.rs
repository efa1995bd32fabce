//! Inserts and bulk writes of a collection: statements are encoded here, batch by batch, and the totals become
//! PyMongo's `bulk_api_result`. What is sent when is `ops::bulk::collection`'s part.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyRange};

use super::documents::Documents;
use super::errors;
use super::once::name;
use super::pending::PyPending;
use super::task::{Step, Task, task};
use crate::ops::bulk::batch::Batch;
use crate::ops::bulk::collection::BulkWrite;
use crate::ops::bulk::positions::Positions;
use crate::ops::bulk::progress::{self, Start};
use crate::ops::bulk::totals::Totals;
use crate::ops::bulk::verb::Verb;

/// The Python part of a bulk write.
pub struct Bulk {
    pub documents: Arc<Documents>,
    pub runs: Vec<Run>,
    /// Will hold those of the inserted documents.
    pub ids: Option<Vec<Py<PyAny>>>,
    /// Gets the totals, and the ids if they are kept.
    pub then: Py<PyAny>,
}

pub struct Run {
    verb: Verb,
    command: Py<PyAny>,
    statements: Py<PyList>,
}

impl Run {
    pub fn of_inserts(command: &Bound<'_, PyAny>, documents: Bound<'_, PyList>) -> Run {
        let (command, statements) = (command.clone().unbind(), documents.unbind());
        Run { verb: Verb::Insert, command, statements }
    }

    /// From a tuple of the command, the statements, and where each stands in the whole bulk write.
    pub fn of_bulk_write(parts: &Bound<'_, PyAny>) -> PyResult<(Run, Positions)> {
        let (command, statements, positions): (
            Bound<'_, PyAny>,
            Bound<'_, PyList>,
            Bound<'_, PyAny>,
        ) = parts.extract()?;
        let positions = match positions.cast::<PyRange>() {
            Ok(range) => Positions::From(range.getattr("start")?.extract()?),
            Err(_) => {
                let each = positions.cast::<PyList>()?.iter().map(|position| position.extract());
                Positions::Each(each.collect::<PyResult<_>>()?)
            }
        };
        for verb in Verb::ALL {
            if command.contains(verb.name())? {
                let (command, statements) = (command.unbind(), statements.unbind());
                return Ok((Run { verb, command, statements }, positions));
            }
        }
        Err(PyValueError::new_err("a run is an insert, an update or a delete"))
    }

    pub fn described(&self, py: Python<'_>, positions: Positions) -> progress::Run {
        let statements = self.statements.bind(py).len();
        progress::Run { verb: self.verb, statements, positions }
    }
}

impl Bulk {
    pub fn start(mut self, py: Python<'_>, mut write: BulkWrite) -> PyResult<PyPending> {
        self.ensure_ids(py)?;
        if !write.is_ready().map_err(|error| errors::to_python(py, &error))? {
            return Ok(PyPending::new(self.after(write.meet())));
        }
        // The first batch is encoded now: bad documents are refused before anything is sent.
        match self.next(py, write)? {
            Step::Again(first) | Step::Pause(first) => Ok(PyPending::new(first)),
            Step::Done(result) => Ok(PyPending::known(Ok(result))),
        }
    }

    /// Every document gets one, also those that an error then keeps from being sent.
    fn ensure_ids(&mut self, py: Python<'_>) -> PyResult<()> {
        for run in self.runs.iter().filter(|run| run.verb == Verb::Insert) {
            for document in run.statements.bind(py) {
                let id = self.documents.ensure_id(&document)?;
                if let Some(ids) = &mut self.ids {
                    ids.push(id);
                }
            }
        }
        Ok(())
    }

    /// A task that goes on after `step`.
    fn after(
        self,
        step: impl Future<Output = crate::error::Result<BulkWrite>> + Send + 'static,
    ) -> Box<dyn Task> {
        task(step, move |py: Python<'_>, write| match write {
            Ok(write) => self.next(py, write),
            Err(error) => Err(self.documents.exception(py, &error)),
        })
    }

    /// The next batch as a task, or the result when there is nothing more to send.
    fn next(self, py: Python<'_>, write: BulkWrite) -> PyResult<Step> {
        let Some(start) = write.next() else { return self.result(py, write.into_totals()) };
        let batch = self.encode(py, &write, start)?;
        Ok(Step::Again(self.after(write.send(batch))))
    }

    /// The statements from `start` on that fit into one message.
    fn encode(&self, py: Python<'_>, write: &BulkWrite, start: Start) -> PyResult<Batch> {
        let run = &self.runs[start.run];
        let (command, statements) = (run.command.bind(py), run.statements.bind(py));
        let command = self.documents.message(command)?;
        let mut batch = write.batch(command, start);
        // The list may have changed meanwhile.
        while !batch.is_full()
            && let Ok(statement) = statements.get_item(start.statement + batch.count())
        {
            self.documents.append(&statement, batch.out())?;
            if !batch.accept().map_err(|error| errors::to_python(py, &error))? {
                break;
            }
        }
        Ok(batch)
    }

    fn result(self, py: Python<'_>, totals: Totals) -> PyResult<Step> {
        let result = PyDict::new(py);
        set_totals(&result, &totals, &self.documents)?;
        result.set_item(name!(py, "nRemoved"), totals.deleted)?;
        let upserted = self.documents.servers_list(py, &totals.upserts)?;
        result.set_item(name!(py, "upserted"), upserted)?;
        let then = self.then.bind(py);
        let result = match self.ids {
            Some(ids) => then.call1((result, PyList::new(py, ids)?))?,
            None => then.call1((result,))?,
        };
        Ok(Step::Done(result.unbind()))
    }
}

/// What both kinds of bulk write tell.
pub fn set_totals(
    result: &Bound<'_, PyDict>,
    totals: &Totals,
    documents: &Documents,
) -> PyResult<()> {
    let py = result.py();
    let errors = documents.servers_list(py, &totals.write_errors)?;
    result.set_item(name!(py, "writeErrors"), errors)?;
    let concerns = documents.servers_list(py, &totals.write_concern_errors)?;
    result.set_item(name!(py, "writeConcernErrors"), concerns)?;
    result.set_item(name!(py, "nInserted"), totals.inserted)?;
    result.set_item(name!(py, "nUpserted"), totals.upserted)?;
    result.set_item(name!(py, "nMatched"), totals.matched)?;
    result.set_item(name!(py, "nModified"), totals.modified)
}
