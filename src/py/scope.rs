//! `_core.Scope`: where and how the commands of one Database or Collection run.

use std::sync::Arc;

use bson::RawDocumentBuf;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::bulk::{Bulk, Run};
use super::client::PyClient;
use super::client_bulk::{self, ClientBulk};
use super::documents::Documents;
use super::once::name;
use super::pending::PyPending;
use super::session::PySession;
use super::task::{Step, task};
use super::{options, time_limit};
use crate::codec::Contents;
use crate::error::Result as CoreResult;
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Outcome, Terms};
use crate::exec::run::run;
use crate::ops::bulk::client::{ClientBulkWrite, ClientManner};
use crate::ops::bulk::collection::{BulkWrite, Manner};
use crate::ops::bulk::destination::Feature;
use crate::ops::bulk::positions::Positions;
use crate::ops::cursor::batch::Batch;
use crate::session::client::Session;
use crate::topology::read_preference::ReadPreference;
use crate::wire::message::Message;

#[pyclass(name = "Scope", module = "ferromongo._core", frozen)]
pub struct PyScope {
    client: Py<PyClient>,
    pub database: Arc<str>,
    pub documents: Arc<Documents>,
    read_preference: Arc<ReadPreference>,
    read_concern: Option<Arc<RawDocumentBuf>>,
    write_concern: Option<Arc<RawDocumentBuf>>,
    acknowledged: bool,
}

impl PyScope {
    pub fn core(&self) -> Arc<ClientCore> {
        self.client.get().core()
    }

    pub fn terms(
        &self,
        py: Python<'_>,
        core: &ClientCore,
        kind: CommandKind,
        session: Option<&PySession>,
        read_preference: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Terms> {
        let session = match session {
            Some(explicit) => explicit.session.clone(),
            None => Session::implicit(core.sessions.clone()),
        };
        let mut terms = Terms::new(self.database.clone(), kind, session);
        terms.read_preference = match read_preference {
            Some(given) => Arc::new(options::read_preference(given)?),
            None => self.read_preference.clone(),
        };
        match kind {
            CommandKind::Read { .. } => terms.read_concern = self.read_concern.clone(),
            CommandKind::Write { .. } => terms.write_concern = self.write_concern.clone(),
            CommandKind::Output => {
                terms.read_concern = self.read_concern.clone();
                terms.write_concern = self.write_concern.clone();
            }
            _ => {}
        }
        terms.limit = time_limit::current(py, &core.settings)?;
        Ok(terms)
    }

    /// Inside a transaction every write is.
    fn is_acknowledged(&self, terms: &Terms) -> bool {
        self.acknowledged || terms.session.in_transaction()
    }

    /// Sends one command.
    fn send(
        &self,
        py: Python<'_>,
        mut message: Message,
        kind: CommandKind,
        session: Option<&PySession>,
        read_preference: Option<&Bound<'_, PyAny>>,
        taken: Taken<'_, '_>,
    ) -> PyResult<PyPending> {
        let Taken { then, allowed, users } = taken;
        let contents = Contents::with(users);
        let core = self.core();
        let mut terms = self.terms(py, &core, kind, session, read_preference)?;
        terms.allowed = allowed.map(options::allowed_errors).transpose()?.flatten();
        if kind == CommandKind::Output {
            // The caller's own concerns come before the collection's.
            terms.read_concern.take_if(|_| message.has("readConcern"));
            terms.write_concern.take_if(|_| message.has("writeConcern"));
        }
        let writes = terms.is_write() || kind == CommandKind::Output;
        if writes && !self.is_acknowledged(&terms) {
            message = message.without_reply();
        }
        let documents = self.documents.clone();
        let finish = move |py: Python<'_>, outcome: CoreResult<Outcome>| {
            let outcome = outcome.map_err(|error| match writes {
                true => documents.exception_of_write(py, &error),
                false => documents.exception(py, &error),
            })?;
            let reply = documents.reply(py, outcome, &contents)?;
            let result = match then {
                Some(then) => then.bind(py).call1((reply,))?,
                None => reply,
            };
            Ok(Step::Done(result.unbind()))
        };
        Ok(PyPending::new(task(run_owned(core, Operation { message, terms }), finish)))
    }
}

/// What becomes of a reply.
struct Taken<'a, 'py> {
    /// Makes the result of it.
    then: Option<Py<PyAny>>,
    /// The errors that count as success.
    allowed: Option<&'a Bound<'py, PyAny>>,
    /// The field that is the user's.
    users: Option<&'a str>,
}

/// Owns what it works on, so that it can outlive the call that built it.
pub async fn run_owned(core: Arc<ClientCore>, mut operation: Operation) -> CoreResult<Outcome> {
    run(&core, &mut operation).await
}

#[pymethods]
impl PyScope {
    #[new]
    fn new(
        client: Py<PyClient>,
        database: &str,
        codec_options: &Bound<'_, PyAny>,
        read_preference: &Bound<'_, PyAny>,
        write_concern: &Bound<'_, PyAny>,
        read_concern: &Bound<'_, PyAny>,
    ) -> PyResult<PyScope> {
        let (write_concern, acknowledged) = options::write_concern(write_concern)?;
        Ok(PyScope {
            client,
            database: database.into(),
            documents: Documents::new(codec_options)?,
            read_preference: Arc::new(options::read_preference(read_preference)?),
            read_concern: options::read_concern(read_concern)?.map(Arc::new),
            write_concern,
            acknowledged,
        })
    }

    #[getter]
    fn timeout(&self) -> Option<f64> {
        self.core().settings.timeout.map(|timeout| timeout.as_secs_f64())
    }

    #[pyo3(signature = (command, session, read_preference = None, then = None, allowed = None))]
    fn command(
        &self,
        command: &Bound<'_, PyAny>,
        session: Option<&PySession>,
        read_preference: Option<&Bound<'_, PyAny>>,
        then: Option<Py<PyAny>>,
        allowed: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyPending> {
        let message = self.documents.message(command)?;
        let taken = Taken { then, allowed, users: None };
        self.send(command.py(), message, CommandKind::Command, session, read_preference, taken)
    }

    #[pyo3(signature = (command, session, read_preference = None, then = None, allowed = None, users = None))]
    #[allow(clippy::too_many_arguments)]
    fn read(
        &self,
        command: &Bound<'_, PyAny>,
        session: Option<&PySession>,
        read_preference: Option<&Bound<'_, PyAny>>,
        then: Option<Py<PyAny>>,
        allowed: Option<&Bound<'_, PyAny>>,
        users: Option<&str>,
    ) -> PyResult<PyPending> {
        let message = self.documents.message(command)?;
        let kind = CommandKind::read_of(&message);
        let taken = Taken { then, allowed, users };
        self.send(command.py(), message, kind, session, read_preference, taken)
    }

    fn find_one(
        &self,
        command: &Bound<'_, PyAny>,
        session: Option<&PySession>,
    ) -> PyResult<PyPending> {
        let core = self.core();
        let message = self.documents.message(command)?;
        let terms = self.terms(command.py(), &core, CommandKind::FIND, session, None)?;
        let documents = self.documents.clone();
        let finish = move |py: Python<'_>, outcome: CoreResult<Outcome>| {
            let batch = outcome.and_then(|outcome| Batch::of(outcome.into_reply()?));
            let batch = batch.map_err(|error| documents.exception(py, &error))?;
            let found = documents.first(py, &batch)?;
            Ok(Step::Done(found.map_or_else(|| py.None(), Bound::unbind)))
        };
        Ok(PyPending::new(task(run_owned(core, Operation { message, terms }), finish)))
    }

    #[pyo3(signature = (command, session, retryable, then = None, allowed = None, users = None))]
    fn write(
        &self,
        command: &Bound<'_, PyAny>,
        session: Option<&PySession>,
        retryable: bool,
        then: Option<Py<PyAny>>,
        allowed: Option<&Bound<'_, PyAny>>,
        users: Option<&str>,
    ) -> PyResult<PyPending> {
        let message = self.documents.message(command)?;
        let kind = CommandKind::Write { retry: retryable };
        self.send(command.py(), message, kind, session, None, Taken { then, allowed, users })
    }

    #[pyo3(signature = (command, session, then = None))]
    fn output(
        &self,
        command: &Bound<'_, PyAny>,
        session: Option<&PySession>,
        then: Option<Py<PyAny>>,
    ) -> PyResult<PyPending> {
        let message = self.documents.message(command)?;
        let taken = Taken { then, allowed: None, users: None };
        self.send(command.py(), message, CommandKind::Output, session, None, taken)
    }

    #[pyo3(signature = (command, documents, session, then, measured = false))]
    fn insert(
        &self,
        command: &Bound<'_, PyAny>,
        documents: &Bound<'_, PyAny>,
        session: Option<&PySession>,
        then: Py<PyAny>,
        measured: bool,
    ) -> PyResult<PyPending> {
        let py = command.py();
        let documents = match documents.cast::<PyList>() {
            Ok(list) => list.clone(),
            Err(_) => PyList::new(py, documents.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
        };
        let ordered = command.get_item(name!(py, "ordered"));
        let ordered = ordered.map_or(Ok(true), |ordered| ordered.is_truthy())?;
        let core = self.core();
        let terms = self.terms(py, &core, CommandKind::Write { retry: true }, session, None)?;
        let acknowledged = self.is_acknowledged(&terms);
        let run = Run::of_inserts(command, documents);
        let described = vec![run.described(py, Positions::From(0))];
        let manner = Manner { ordered, acknowledged, measured, needs: None };
        let door = self.documents.clone();
        let bulk = Bulk { documents: door, runs: vec![run], ids: Some(Vec::new()), then };
        bulk.start(py, BulkWrite::new(core, terms, described, manner))
    }

    #[allow(clippy::too_many_arguments)]
    fn bulk_write(
        &self,
        runs: &Bound<'_, PyAny>,
        session: Option<&PySession>,
        ordered: bool,
        retryable: bool,
        needs_8: bool,
        then: Py<PyAny>,
    ) -> PyResult<PyPending> {
        let py = runs.py();
        let core = self.core();
        let terms =
            self.terms(py, &core, CommandKind::Write { retry: retryable }, session, None)?;
        let acknowledged = self.is_acknowledged(&terms);
        let (mut described, mut all) = (Vec::new(), Vec::new());
        for run in runs.try_iter()? {
            let (run, positions) = Run::of_bulk_write(&run?)?;
            described.push(run.described(py, positions));
            all.push(run);
        }
        let needs = needs_8.then_some(Feature::UnacknowledgedSort);
        let manner = Manner { ordered, acknowledged, measured: false, needs };
        let bulk = Bulk { documents: self.documents.clone(), runs: all, ids: None, then };
        bulk.start(py, BulkWrite::new(core, terms, described, manner))
    }

    #[allow(clippy::too_many_arguments)]
    fn client_bulk_write(
        &self,
        command: Bound<'_, PyDict>,
        operations: &Bound<'_, PyList>,
        session: Option<&PySession>,
        ordered: bool,
        verbose: bool,
        retryable: bool,
        then: Py<PyAny>,
    ) -> PyResult<PyPending> {
        let py = command.py();
        let core = self.core();
        let terms =
            self.terms(py, &core, CommandKind::Write { retry: retryable }, session, None)?;
        let manner = ClientManner { ordered, acknowledged: self.is_acknowledged(&terms), verbose };
        let operations = operations.iter().map(|parts| client_bulk::Operation::of(&parts));
        let operations = operations.collect::<PyResult<Vec<_>>>()?;
        let write = ClientBulkWrite::new(core, terms, operations.len(), manner);
        let documents = self.documents.clone();
        ClientBulk { documents, command: command.unbind(), operations, then }.start(py, write)
    }
}
