//! `_core.Client`: the settings at the edge, and the shared core behind a check for forks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::callbacks::callback;
use super::descriptions::{self, place};
use super::journal::{self, PyJournal};
use super::listeners::{EventQueue, ident};
use super::pending::PyPending;
use super::seed_lookup;
use super::session::PySession;
use super::task::{Step, task};
use super::transaction_options::LastOptions;
use super::{errors, options, server_selector, time_limit};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result as CoreResult};
use crate::event::Publisher;
use crate::event::selection::Asker;
use crate::exec::client::ClientCore;
use crate::exec::seed_lookup::Start;
use crate::exec::select::select;
use crate::journal::entry::Failure;
use crate::net::fork::OfProcess;
use crate::net::wait;
use crate::ops::end_sessions::end_sessions;
use crate::ops::transaction;
use crate::session::client::Session;
use crate::session::transaction::Options;
use crate::session::turn::Policy;
use crate::settings::Settings;
use crate::sync::Mutex;
use crate::topology::address::{Address, InvalidAddress};
use crate::topology::selection::Criteria;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::Snapshot;
use crate::wire::compression::Offer;
use crate::wire::compressor::Compressor;

#[pyclass(name = "Client", module = "ferromongo._core", frozen, weakref)]
pub struct PyClient {
    settings: Arc<Settings>,
    look_up: Option<Start>,
    /// Locked only with the GIL held, so that no fork (which needs the GIL too) ever finds it locked by
    /// another thread.
    core: Mutex<OfProcess<Arc<ClientCore>>>,
    pub transaction_options: LastOptions,
}

impl PyClient {
    /// The core of this process. A forked child gets a fresh one, and the parent's is left as it is. A
    /// process that has closed all its descriptors gets a fresh one too. No Python runs: this is called under
    /// locks, and while an exception is being raised.
    pub fn core(&self) -> Arc<ClientCore> {
        let mut held = self.core.lock();
        if held.is_inherited() || held.opened().is_some_and(|cluster| cluster.was_lost()) {
            let closed = held.is_closed();
            let fresh = ClientCore::new(self.settings.clone(), self.look_up.clone());
            if closed {
                fresh.close();
            }
            std::mem::forget(std::mem::replace(&mut *held, OfProcess::new(fresh)));
        }
        Arc::clone(&held)
    }
}

#[pymethods]
impl PyClient {
    #[new]
    #[pyo3(signature = (settings, look_up = None))]
    fn new(settings: &Bound<'_, PyAny>, look_up: Option<Py<PyAny>>) -> PyResult<PyClient> {
        let settings = Arc::new(read_settings(settings)?);
        let look_up = look_up.map(|look_up| callback(look_up, seed_lookup::start));
        let core = ClientCore::new(settings.clone(), look_up.clone());
        let core = Mutex::new(OfProcess::new(core));
        Ok(PyClient { settings, look_up, core, transaction_options: LastOptions::default() })
    }

    fn open(&self, py: Python<'_>) -> PyResult<PyPending> {
        let core = self.core();
        let limit = time_limit::current(py, &core.settings)?.deadline();
        let work = async move { core.cluster(limit).await.map(|_| ()) };
        Ok(PyPending::new(task(work, |py, opened: CoreResult<()>| {
            opened.map_err(|error| errors::to_python(py, &error))?;
            Ok(Step::Done(py.None()))
        })))
    }

    /// `metadata` is what connections say from now on, `driver` what is new in it.
    fn append_metadata(
        &self,
        metadata: &Bound<'_, PyAny>,
        driver: (String, Option<String>, Option<String>),
    ) -> PyResult<()> {
        let driver = options::driver_name(driver);
        let named = self.settings.metadata.append(options::document(metadata)?, driver.clone());
        if let Some(cluster) = self.core().opened().filter(|_| named) {
            cluster.append_driver(driver);
        }
        Ok(())
    }

    fn replace_hosts(&self, py: Python<'_>, hosts: Vec<(String, u16)>) -> PyResult<()> {
        let core = self.core();
        let hosts = found(py, &hosts).collect::<PyResult<_>>()?;
        let replaced = py.detach(|| match core.opened() {
            Some(cluster) => cluster.replace_hosts(&hosts),
            None => Ok(()),
        });
        replaced.map_err(|error| errors::to_python(py, &error))
    }

    fn close(&self, py: Python<'_>) -> PyResult<PyPending> {
        let core = self.core();
        let limit = time_limit::current(py, &core.settings)?;
        let caller = ident(py)?;
        let work = async move {
            if !core.is_closed() {
                end_sessions(&core, limit).await;
            }
            core.close();
            let limit = Deadline::after(Instant::now(), Some(LAST_EVENTS_WITHIN));
            wait::until(limit, core.settings.events.drained(caller)).await;
        };
        Ok(PyPending::new(task(work, |py, ()| Ok(Step::Done(py.None())))))
    }

    #[getter]
    fn closed(&self) -> bool {
        self.core().is_closed()
    }

    fn topology<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let result = PyDict::new(py);
        let servers = PyDict::new(py);
        let core = self.core();
        result.set_item("servers", &servers)?;
        let Some(cluster) = core.opened() else {
            result.set_item("type", "Unknown")?;
            result.set_item("set_name", py.None())?;
            result.set_item("primary", py.None())?;
            for seed in &self.settings.seeds {
                let unknown = ServerDescription::unknown(seed.clone());
                servers.set_item(place(seed), describe(py, &unknown)?)?;
            }
            return Ok(result);
        };
        let snapshot = cluster.snapshot();
        result.set_item("type", snapshot.kind.name())?;
        result.set_item("set_name", &snapshot.set_name)?;
        result.set_item("primary", snapshot.primary().map(|server| place(&server.address)))?;
        for server in snapshot.servers.values() {
            servers.set_item(place(&server.address), describe(py, server)?)?;
        }
        Ok(result)
    }

    fn topology_description<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let core = self.core();
        let snapshot = match core.opened() {
            Some(cluster) => Arc::clone(&cluster.snapshot()),
            None => Arc::new(Snapshot::new(Arc::new(self.settings.topology()))),
        };
        descriptions::topology(py, &snapshot, self.settings.local_threshold)
    }

    /// `asker` is what asks for it, for logs.
    fn select(&self, read_preference: &Bound<'_, PyAny>, asker: String) -> PyResult<PyPending> {
        let criteria = Criteria::Read(Arc::new(options::read_preference(read_preference)?));
        let core = self.core();
        let limit = time_limit::current(read_preference.py(), &core.settings)?.deadline();
        let work = async move {
            let cluster = core.cluster(limit).await?;
            let asker = Asker { operation: &asker, operation_id: None };
            let server = select(cluster, &criteria, &[], limit, Some(asker)).await?;
            let known = cluster.snapshot().server(&server.address).cloned();
            Ok(known.unwrap_or_else(|| ServerDescription::unknown(server.address.clone())))
        };
        let finish = |py: Python<'_>, found: CoreResult<ServerDescription>| {
            let server = found.map_err(|error| errors::to_python(py, &error))?;
            let result = describe(py, &server)?;
            result.set_item("address", place(&server.address))?;
            Ok(Step::Done(result.into_any().unbind()))
        };
        Ok(PyPending::new(task(work, finish)))
    }

    #[pyo3(signature = (causal_consistency, snapshot, snapshot_time = None))]
    fn start_session(
        slf: Bound<'_, Self>,
        causal_consistency: bool,
        snapshot: bool,
        snapshot_time: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PySession> {
        let core = slf.get().core();
        let snapshot_time = snapshot_time.map(options::timestamp).transpose()?;
        let session = Session::explicit(core.sessions.clone(), causal_consistency, snapshot);
        session.state().snapshot_time = snapshot_time;
        Ok(PySession { client: slf.unbind(), session })
    }

    /// A session that carries one transaction, which has begun, for an `atomic` scope.
    fn begin_scope(
        slf: Bound<'_, Self>,
        read_concern: &Bound<'_, PyAny>,
        write_concern: &Bound<'_, PyAny>,
        read_preference: &Bound<'_, PyAny>,
        max_commit_time_ms: Option<i64>,
        refuses: bool,
    ) -> PyResult<PySession> {
        let given = [read_concern, write_concern, read_preference];
        let options = slf.get().transaction_options.get(given)?;
        let options = Options { max_commit_time_ms, ..options };
        let policy = if refuses { Policy::Refuse } else { Policy::Wait };
        let sessions = slf.get().core().sessions.clone();
        let session = Session::of_transaction(sessions, policy, options);
        let session = session.map_err(|error| errors::to_python(slf.py(), &error))?;
        Ok(PySession { client: slf.unbind(), session })
    }

    /// Ends a transaction of another process, as its log has it.
    fn end_of_transaction(
        &self,
        py: Python<'_>,
        entry: &[u8],
        commit: bool,
    ) -> PyResult<PyPending> {
        let entry = journal::entry(entry)?;
        let core = self.core();
        let limit = time_limit::current(py, &core.settings)?;
        let work = async move { transaction::end_recovered(&core, &entry, commit, limit).await };
        Ok(PyPending::new(task(work, |py, (outcome, error, time)| {
            let error = error.map(|error| Failure::from(&error).to_document());
            let error = error.map(|error| PyBytes::new(py, &error));
            let found = (outcome.name(), error, time).into_pyobject(py)?;
            Ok(Step::Done(found.into_any().unbind()))
        })))
    }

    fn cluster_time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let time = self.core().cluster_time();
        time.map(|time| options::to_dict(py, &time)).transpose()
    }
}

fn describe<'py>(py: Python<'py>, server: &ServerDescription) -> PyResult<Bound<'py, PyDict>> {
    let result = PyDict::new(py);
    result.set_item("type", server.kind.name())?;
    result.set_item("rtt", server.round_trip_time.map(|time| time.as_secs_f64()))?;
    result.set_item("error", &server.error)?;
    result.set_item("max_wire_version", server.max_wire_version)?;
    let places = |addresses: &[Address]| PyList::new(py, addresses.iter().map(place));
    result.set_item("hosts", places(&server.hosts)?)?;
    result.set_item("arbiters", places(&server.arbiters)?)?;
    Ok(result)
}

pub(super) fn read_settings(given: &Bound<'_, PyAny>) -> PyResult<Settings> {
    let py = given.py();
    let field = |name: &str| {
        let missing = |_| PyKeyError::new_err(format!("client settings lack {name:?}"));
        given.get_item(name).map_err(missing)
    };
    let seconds = |name: &str| -> PyResult<Option<Duration>> {
        let value: Option<f64> = field(name)?.extract()?;
        let invalid = |_| PyValueError::new_err(format!("{name} is not a length of time"));
        value.map(|value| Duration::try_from_secs_f64(value).map_err(invalid)).transpose()
    };
    let required = |name: &str| Ok::<_, PyErr>(seconds(name)?.unwrap_or_default());
    let given: Vec<(String, Option<i64>)> = field("seeds")?.extract()?;
    let given = given.iter().map(|(host, port)| {
        Address::from_user(host, *port).map_err(|error| invalid_seed(py, &error))
    });
    let looked_up: Vec<(String, u16)> = field("looked_up_seeds")?.extract()?;
    let seeds = given.chain(found(py, &looked_up)).collect::<PyResult<_>>()?;
    let compressors: Vec<String> = field("compressors")?.extract()?;
    let compressors = compressors.iter().map(|name| {
        let unknown = || PyValueError::new_err(format!("no compressor is called {name:?}"));
        Compressor::from_name(name).ok_or_else(unknown)
    });
    let compressors = compressors.collect::<PyResult<_>>()?;
    let events: Option<Bound<'_, EventQueue>> = field("events")?.extract()?;
    Ok(Settings {
        id: events.as_ref().map_or_else(ObjectId::new, |queue| queue.get().client_id),
        seeds,
        client_class: field("client_class")?.extract()?,
        replica_set: field("replica_set")?.extract()?,
        direct_connection: field("direct_connection")?.extract()?,
        load_balanced: field("load_balanced")?.extract()?,
        app_name: field("app_name")?.extract()?,
        metadata: options::metadata(&field("metadata")?, &field("drivers")?)?,
        max_pool_size: field("max_pool_size")?.extract()?,
        min_pool_size: field("min_pool_size")?.extract()?,
        max_idle_time: seconds("max_idle_time")?,
        max_connecting: field("max_connecting")?.extract()?,
        wait_queue_timeout: seconds("wait_queue_timeout")?,
        server_selection_timeout: seconds("server_selection_timeout")?,
        server_selector: field("server_selector")?
            .extract::<Option<Py<PyAny>>>()?
            .map(|selector| callback(selector, server_selector::choose)),
        connect_timeout: seconds("connect_timeout")?,
        socket_timeout: seconds("socket_timeout")?,
        local_threshold: required("local_threshold")?,
        heartbeat_frequency: required("heartbeat_frequency")?,
        retry_writes: field("retry_writes")?.extract()?,
        retry_reads: field("retry_reads")?.extract()?,
        compression: Offer { compressors, zlib_level: field("zlib_level")?.extract()? },
        credentials: options::credentials(&field("credentials")?)?.map(Arc::new),
        tls: options::tls(&field("tls")?)?,
        timeout: seconds("timeout")?,
        max_adaptive_retries: field("max_adaptive_retries")?.extract()?,
        overload_retargeting: field("overload_retargeting")?.extract()?,
        server_api: match field("server_api")? {
            none if none.is_none() => None,
            given => Some(Arc::new(options::document(&given)?)),
        },
        poll: field("poll")?.extract()?,
        events: events.map_or_else(Publisher::default, |queue| queue.get().publisher()),
        journal: field("journal")?
            .extract::<Option<Bound<'_, PyJournal>>>()?
            .map(|journal| journal.get().journal.clone()),
    })
}

/// A host from DNS, which may not be a socket.
fn found(py: Python<'_>, hosts: &[(String, u16)]) -> impl Iterator<Item = PyResult<Address>> {
    hosts.iter().map(move |(host, port)| {
        Address::tcp(host, *port).map_err(|error| invalid_seed(py, &error))
    })
}

fn invalid_seed(py: Python<'_>, error: &InvalidAddress) -> PyErr {
    errors::to_python(py, &Error::new(ErrorKind::Configuration, error.to_string()))
}

/// How long `close` waits for the listeners of a deployment, as PyMongo does.
const LAST_EVENTS_WITHIN: Duration = Duration::from_secs(1);
