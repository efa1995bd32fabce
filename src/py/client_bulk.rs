//! `MongoClient.bulk_write`: operations are encoded here, batch by batch, and the totals become Python objects.
//! What is sent when is `ops::bulk::client`'s part.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::bulk::set_totals;
use super::documents::Documents;
use super::errors;
use super::pending::PyPending;
use super::task::{Step, Task, task};
use crate::ops::bulk::client::ClientBulkWrite;
use crate::ops::bulk::client_batch::ClientBatch;
use crate::ops::bulk::client_totals::{ClientTotals, Failure};
use crate::ops::bulk::operation::OperationKind;

/// The Python part of a client's bulk write.
pub struct ClientBulk {
    pub documents: Arc<Documents>,
    pub command: Py<PyDict>,
    pub operations: Vec<Operation>,
    pub then: Py<PyAny>,
}

pub struct Operation {
    kind: OperationKind,
    namespace: String,
    /// Its first field names the namespace by its place in the batch.
    document: Py<PyDict>,
}

impl Operation {
    /// From a tuple of the three.
    pub fn of(parts: &Bound<'_, PyAny>) -> PyResult<Operation> {
        let (kind, namespace, document): (String, String, Bound<'_, PyDict>) = parts.extract()?;
        let kind = OperationKind::of(&kind).ok_or_else(|| PyValueError::new_err(kind))?;
        Ok(Operation { kind, namespace, document: document.unbind() })
    }
}

impl ClientBulk {
    pub fn start(self, py: Python<'_>, write: ClientBulkWrite) -> PyResult<PyPending> {
        for operation in &self.operations {
            if operation.kind == OperationKind::Insert
                && let Some(document) = operation.document.bind(py).get_item("document")?
            {
                self.documents.ensure_id(&document)?;
            }
        }
        Ok(PyPending::new(self.after(write.meet())))
    }

    /// A task that goes on after `step`.
    fn after(
        self,
        step: impl Future<Output = crate::error::Result<ClientBulkWrite>> + Send + 'static,
    ) -> Box<dyn Task> {
        task(step, move |py: Python<'_>, write| match write {
            Ok(write) => self.next(py, write),
            Err(error) => Err(errors::to_python(py, &error)),
        })
    }

    /// The next batch as a task, or the result when there is nothing more to send.
    fn next(self, py: Python<'_>, write: ClientBulkWrite) -> PyResult<Step> {
        let Some(first) = write.next() else { return self.result(py, write.into_totals()) };
        let batch = self.encode(py, &write, first)?;
        Ok(Step::Again(self.after(write.send(batch))))
    }

    /// The operations from `first` on that fit into one message.
    fn encode(
        &self,
        py: Python<'_>,
        write: &ClientBulkWrite,
        first: usize,
    ) -> PyResult<ClientBatch> {
        let command = self.command.bind(py).as_any();
        let command = self.documents.message(command)?;
        let mut batch = write.batch(command);
        for Operation { kind, namespace, document } in &self.operations[first..] {
            if batch.is_full() {
                break;
            }
            let document = document.bind(py);
            document.set_item(kind.field(), batch.place(namespace))?;
            self.documents.append(document, batch.out())?;
            if !batch.accept(*kind).map_err(|error| errors::to_python(py, &error))? {
                break;
            }
        }
        Ok(batch)
    }

    /// `then` gets the totals, the results with their positions, and what kept results from being read.
    fn result(self, py: Python<'_>, all: ClientTotals) -> PyResult<Step> {
        let totals = PyDict::new(py);
        let exception = |error| self.documents.exception(py, error).into_value(py);
        let (error, unread) = match &all.failure {
            Some(Failure::Command(error)) => (Some(exception(error)), None),
            Some(Failure::Results(error)) => (None, Some(exception(error))),
            None => (None, None),
        };
        totals.set_item("anySuccessful", all.any_successful)?;
        totals.set_item("error", error)?;
        set_totals(&totals, &all.totals, &self.documents)?;
        totals.set_item("nDeleted", all.totals.deleted)?;
        let results = PyList::empty(py);
        for (position, result) in &all.results {
            results.append((position, self.documents.servers(py, result)?))?;
        }
        Ok(Step::Done(self.then.call1(py, (totals, results, unread))?))
    }
}
