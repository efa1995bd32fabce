//! `_core.Session`: an explicit session and its transaction.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::client::PyClient;
use super::pending::PyPending;
use super::task::{Step, task};
use super::{callbacks, errors, imports, options, time_limit};
use crate::error::{Error, Result as CoreResult};
use crate::event::own;
use crate::exec::client::ClientCore;
use crate::ops::transaction;
use crate::session::client::Session;
use crate::session::transaction::{Options, Outcome, State};

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

    /// What only the scope may do to its transaction.
    fn check_own(&self, py: Python<'_>) -> PyResult<()> {
        if self.session.turns.is_none() {
            return Ok(());
        }
        let text = "the transaction of an atomic() block is begun and ended by the block alone";
        Err(errors::to_python(py, &Error::invalid_operation(text)))
    }

    fn commit(&self, py: Python<'_>) -> PyResult<PyPending> {
        let (core, session) = (self.core(), self.session.clone());
        let limit = time_limit::current(py, &core.settings)?;
        let work = async move { transaction::commit(&core, &session, limit).await };
        Ok(PyPending::new(task(work, nothing)))
    }

    fn abort(&self, py: Python<'_>) -> PyResult<PyPending> {
        let (core, session) = (self.core(), self.session.clone());
        let limit = time_limit::current(py, &core.settings)?;
        let work = async move { transaction::abort(&core, &session, limit).await };
        Ok(PyPending::new(task(work, nothing)))
    }
}

/// A scope that was left midway (by an interrupt in its own code) must not hold its locks for a minute.
impl Drop for PySession {
    fn drop(&mut self) {
        if self.session.turns.is_some() && self.session.is_of_this_process() {
            transaction::leave(&self.core(), &self.session);
        }
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
        self.check_own(py)?;
        let given = [read_concern, write_concern, read_preference];
        let options = self.client.get().transaction_options.get(given)?;
        let options = Options { max_commit_time_ms, ..options };
        self.session.start_transaction(options).map_err(|error| errors::to_python(py, &error))
    }

    /// For the transaction log: the transaction that has begun is such an attempt.
    fn note_attempt(&self, number: u32) {
        self.session.state().transaction.attempt = number;
    }

    /// How the last transaction ended, as far as is known; None before its end.
    #[getter]
    fn outcome(&self) -> Option<&'static str> {
        self.session.state().transaction.ended().map(|ended| ended.outcome.name())
    }

    /// What its commit failed with.
    #[getter]
    fn outcome_error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let ended = self.session.state().transaction.ended().cloned();
        exception(py, ended.and_then(|ended| ended.error))
    }

    /// Whether another commit may bring another answer than the last one.
    #[getter]
    fn may_commit_again(&self) -> bool {
        let state = self.session.state();
        let ended = state.transaction.ended();
        !ended.is_some_and(|ended| ended.outcome == Outcome::Unknown { again: false })
    }

    /// The first error that may have ended the transaction.
    #[getter]
    fn failure(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let failure = self.session.state().transaction.failure().cloned();
        exception(py, failure)
    }

    /// Ends the transaction of a scope without a statement: nothing needs to be sent.
    fn end_unused(&self) -> bool {
        let mut state = self.session.state();
        let unused = state.transaction.state == State::Starting;
        unused && state.transaction.begin_commit().is_ok()
    }

    fn commit_scope(&self, py: Python<'_>) -> PyResult<PyPending> {
        self.commit(py)
    }

    fn abort_scope(&self, py: Python<'_>) -> PyResult<PyPending> {
        self.abort(py)
    }

    /// The session of the next attempt.
    fn next_scope(&self, py: Python<'_>) -> PyResult<PySession> {
        let session = self.session.next_attempt();
        let session = session.map_err(|error| errors::to_python(py, &error))?;
        Ok(PySession { client: self.client.clone_ref(py), session })
    }

    /// Ends the session of a scope; never waits.
    fn leave_scope(&self, py: Python<'_>) -> PyResult<()> {
        let _own = own::Collecting::begin();
        transaction::leave(&self.core(), &self.session);
        callbacks::run(py, None).map(drop)
    }

    fn commit_transaction(&self, py: Python<'_>) -> PyResult<PyPending> {
        self.check_own(py)?;
        self.commit(py)
    }

    fn abort_transaction(&self, py: Python<'_>) -> PyResult<PyPending> {
        self.check_own(py)?;
        self.abort(py)
    }

    fn end(&self, py: Python<'_>) -> PyResult<PyPending> {
        if self.session.turns.is_some() {
            return Ok(PyPending::known(Ok(py.None()))); // its scope ends it
        }
        let (core, session) = (self.core(), self.session.clone());
        transaction::abort_unsent(&core, &session);
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

fn exception(py: Python<'_>, error: Option<Error>) -> Option<Py<PyAny>> {
    error.map(|error| errors::to_python(py, &error).into_value(py).into_any())
}

fn nothing(py: Python<'_>, result: CoreResult<()>) -> PyResult<Step> {
    result.map_err(|error| errors::to_python(py, &error))?;
    Ok(Step::Done(py.None()))
}
