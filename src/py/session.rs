//! `_core.Session`: an explicit session and its transaction.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::client::PyClient;
use super::pending::{PyPending, Step, task};
use super::{errors, imports, options, time_limit};
use crate::error::Result as CoreResult;
use crate::exec::client::ClientCore;
use crate::ops::transaction;
use crate::session::client::Session;
use crate::session::transaction::Options;

#[pyclass(name = "Session", module = "ferromongo._core", frozen, weakref)]
pub struct PySession {
    #[pyo3(get)]
    pub client: Py<PyClient>,
    pub session: Arc<Session>,
}

impl PySession {
    fn core(&self) -> Arc<ClientCore> {
        self.client.get().core()
    }
}

#[pymethods]
impl PySession {
    #[getter]
    fn session_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let id = self.session.id().map_err(|error| errors::to_python(py, &error))?;
        let binary = imports::BINARY.get(py)?.call1((&id.bytes()[..], 4))?;
        let result = PyDict::new(py);
        result.set_item("id", binary)?;
        Ok(result)
    }

    #[getter]
    fn cluster_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let time = self.session.cluster_time();
        time.map(|time| options::to_dict(py, &time)).transpose()
    }

    #[getter]
    fn operation_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        options::to_timestamp(py, self.session.state().operation_time)
    }

    #[getter]
    fn snapshot_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        options::to_timestamp(py, self.session.state().snapshot_time)
    }

    fn advance_cluster_time(&self, cluster_time: &Bound<'_, PyAny>) -> PyResult<()> {
        self.session.advance_cluster_time(&options::document(cluster_time)?);
        Ok(())
    }

    fn advance_operation_time(&self, operation_time: &Bound<'_, PyAny>) -> PyResult<()> {
        self.session.advance_operation_time(options::timestamp(operation_time)?);
        Ok(())
    }

    #[getter]
    fn has_ended(&self) -> bool {
        self.session.has_ended()
    }

    #[getter]
    fn in_transaction(&self) -> bool {
        self.session.in_transaction()
    }

    #[getter]
    fn dirty(&self) -> bool {
        self.session.is_dirty()
    }

    fn start_transaction(
        &self,
        py: Python<'_>,
        read_concern: &Bound<'_, PyAny>,
        write_concern: &Bound<'_, PyAny>,
        read_preference: &Bound<'_, PyAny>,
        max_commit_time_ms: Option<i64>,
    ) -> PyResult<()> {
        let given = [read_concern, write_concern, read_preference];
        let options = self.client.get().transaction_options.get(given)?;
        let options = Options { max_commit_time_ms, ..options };
        self.session.start_transaction(options).map_err(|error| errors::to_python(py, &error))
    }

    fn commit_transaction(&self, py: Python<'_>) -> PyResult<PyPending> {
        let (core, session) = (self.core(), self.session.clone());
        let limit = time_limit::current(py, &core.settings)?;
        let work = async move { transaction::commit(&core, &session, limit).await };
        Ok(PyPending::new(task(work, nothing)))
    }

    fn abort_transaction(&self, py: Python<'_>) -> PyResult<PyPending> {
        let (core, session) = (self.core(), self.session.clone());
        let limit = time_limit::current(py, &core.settings)?;
        let work = async move { transaction::abort(&core, &session, limit).await };
        Ok(PyPending::new(task(work, nothing)))
    }

    fn end(&self, py: Python<'_>) -> PyResult<PyPending> {
        let (core, session) = (self.core(), self.session.clone());
        // Letting go of a connection is told to listeners, and that is done around a task.
        if !session.in_transaction() && session.state().pin.is_none() {
            session.end();
            return Ok(PyPending::known(Ok(py.None())));
        }
        let limit = time_limit::current(py, &core.settings)?;
        let work = async move {
            let _ended = Ending(&session); // also if the wait for the abort is given up
            if session.in_transaction() && !core.is_closed() {
                // The server ends what it can no longer be told about.
                let _ = transaction::abort(&core, &session, limit).await;
            }
            Ok(())
        };
        Ok(PyPending::new(task(work, nothing)))
    }
}

struct Ending<'a>(&'a Session);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn nothing(py: Python<'_>, result: CoreResult<()>) -> PyResult<Step> {
    result.map_err(|error| errors::to_python(py, &error))?;
    Ok(Step::Done(py.None()))
}
