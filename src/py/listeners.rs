//! `_core.EventQueue`: what happened, as calls of the methods that make PyMongo's events of it and hand
//! them to the user's listeners, or log it. The calling is Python's part (`_calls/listeners.py`); a
//! thread with an operation gets there through `callbacks::run` and nowhere else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bson::oid::ObjectId;
use pyo3::exceptions::{PyException, PyMemoryError, PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::descriptions::{self, object_id, place};
use super::{errors, hub_driver, imports, loggers, options};
use crate::codec::{self, CodecSettings, Contents};
use crate::error::Error;
use crate::event::command::{Answer, CommandChange, CommandEvent};
use crate::event::heartbeat::{HeartbeatChange, HeartbeatEvent};
use crate::event::own;
use crate::event::pool::{CheckOutFailure, CloseReason, PoolChange, PoolEvent};
use crate::event::queue::{Ident, Queue};
use crate::event::topology::{TopologyChange, TopologyEvent};
use crate::event::{Event, Publisher, Wanted, logs};
use crate::sync::Mutex;

#[pyclass(name = "EventQueue", module = "ferromongo._core", frozen)]
pub struct EventQueue {
    queue: Arc<Queue>,
    pub client_id: ObjectId,
    wanted: Wanted,
    pool_options: Py<PyAny>,
    /// Of commands and of replies.
    codecs: (CodecSettings, CodecSettings),
    local_threshold: Duration,
}

impl EventQueue {
    pub fn publisher(&self) -> Publisher {
        Publisher::queued(self.wanted, self.queue.clone())
    }
}

#[pymethods]
impl EventQueue {
    #[new]
    fn new(
        wanted: (bool, bool, bool, bool, bool),
        pool_options: Py<PyAny>,
        command_codec: &Bound<'_, PyAny>,
        reply_codec: &Bound<'_, PyAny>,
        local_threshold: f64,
    ) -> PyResult<EventQueue> {
        let (command, pool, server, heartbeat, topology) = wanted;
        Ok(EventQueue {
            queue: Queue::new(),
            client_id: ObjectId::new(),
            wanted: Wanted { command, pool, server, heartbeat, topology },
            pool_options,
            codecs: (
                CodecSettings::from_python(command_codec)?,
                CodecSettings::from_python(reply_codec)?,
            ),
            local_threshold: Duration::try_from_secs_f64(local_threshold)
                .map_err(|error| PyValueError::new_err(error.to_string()))?,
        })
    }

    #[getter]
    fn number(&self) -> u64 {
        self.queue.number
    }

    #[getter]
    fn client_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object_id(py, self.client_id)
    }

    fn __len__(&self) -> usize {
        self.queue.waiting()
    }

    /// Of an operation's own events, or of the background's; then `done` is due.
    #[pyo3(signature = (own = None))]
    fn take<'py>(&self, py: Python<'py>, own: Option<&OwnEvents>) -> PyResult<Option<Taken<'py>>> {
        let because = own.and_then(|own| own.because.as_ref());
        let caller = if own.is_none() { ident(py)? } else { 0 };
        loop {
            let event = match own {
                Some(own) => own.events.lock().pop_front(),
                None => self.queue.take(caller),
            };
            let Some(event) = event else { return Ok(None) };
            let taken = self.call(py, &event, because).and_then(|(name, arguments)| {
                let logged = logs::wants(loggers::of(&event));
                let more = if logged { loggers::more_about(py, &event)? } else { None };
                Ok((name, arguments, more))
            });
            if taken.is_err() && own.is_none() {
                self.queue.done();
            }
            match taken {
                Err(error) if error.is_instance_of::<PyException>(py) => error.print(py),
                taken => return taken.map(Some),
            }
        }
    }

    fn done(&self) {
        self.queue.done();
    }

    fn wait(&self, py: Python<'_>) -> PyResult<bool> {
        match hub_driver::here(py)? {
            Some(waits) => Ok(hub_driver::block_on(&waits, self.queue.arrival())? == Some(true)),
            None => Ok(py.detach(|| self.queue.wait())),
        }
    }

    fn end(&self) {
        self.queue.end();
    }

    fn stop(&self) {
        self.queue.stop();
    }
}

/// The events of an operation, for its listeners.
#[pyclass(module = "ferromongo._core", frozen)]
pub struct OwnEvents {
    events: Mutex<VecDeque<Event>>,
    /// What cut the operation short.
    because: Option<PyErr>,
}

/// The caller, as threads or greenlets name themselves.
pub fn ident(py: Python<'_>) -> PyResult<Ident> {
    let threading = imports::THREADING_MODULE.get(py)?;
    threading.get_item("get_ident")?.call0()?.extract()
}

/// Delivers an operation's events, see `callbacks::run`.
pub fn deliver(py: Python<'_>, events: own::Collected, because: Option<&PyErr>) -> PyResult<()> {
    let mut collected = VecDeque::from(events);
    let mut raised = Ok(());
    while let Some((queue, _)) = collected.front() {
        let queue = queue.clone();
        let others = collected.iter().position(|(other, _)| !Arc::ptr_eq(other, &queue));
        let rest = others.map_or_else(VecDeque::new, |others| collected.split_off(others));
        let events: VecDeque<_> = collected.into_iter().map(|(_, event)| event).collect();
        collected = rest;
        let delivered = deliver_of(py, &queue, events, because);
        raised = raised.and(delivered);
    }
    raised
}

fn deliver_of(
    py: Python<'_>,
    queue: &Queue,
    events: VecDeque<Event>,
    because: Option<&PyErr>,
) -> PyResult<()> {
    let uses_pool = events.iter().any(|event| matches!(event, Event::Pool(_)));
    if uses_pool && queue.is_pool_change_untold() && !queue.is_delivering(ident(py)?) {
        match hub_driver::here(py)? {
            Some(waits) => hub_driver::block_on(&waits, queue.pool_change_told()).map(drop)?,
            None => py.detach(|| queue.wait_for_pool_change()),
        }
    }
    let because = because.map(|because| because.clone_ref(py));
    let own = Bound::new(py, OwnEvents { events: Mutex::new(events), because })?;
    let deliver = imports::DELIVER.get(py)?;
    let mut raised = Ok(());
    loop {
        let before = own.get().events.lock().len();
        let current = own::current();
        let delivered = deliver.call1((queue.number, &own)).map(drop);
        own::resume(current);
        let left = own.get().events.lock().len();
        // Without stack or memory for listeners the rest is lost.
        let exhausted = delivered.as_ref().is_err_and(|error| {
            error.is_instance_of::<PyRecursionError>(py)
                || error.is_instance_of::<PyMemoryError>(py)
        });
        let interrupted = delivered.is_err() && !exhausted && 0 < left && left < before;
        raised = raised.and(delivered);
        if !interrupted {
            return raised;
        }
    }
}

/// A method of PyMongo's listeners (or of logs only), and its arguments.
pub(super) type Call<'py> = (&'static str, Bound<'py, PyTuple>);

/// A call, and what only the log tells besides. `None`: it is not logged.
type Taken<'py> = (&'static str, Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>);

pub(super) fn call<'py>(
    py: Python<'py>,
    name: &'static str,
    arguments: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
) -> PyResult<Call<'py>> {
    Ok((name, arguments.into_pyobject(py)?))
}

fn id_or_none<'py>(py: Python<'py>, id: Option<ObjectId>) -> PyResult<Option<Bound<'py, PyAny>>> {
    id.map(|id| object_id(py, id)).transpose()
}

impl EventQueue {
    fn call<'py>(
        &self,
        py: Python<'py>,
        event: &Event,
        because: Option<&PyErr>,
    ) -> PyResult<Call<'py>> {
        match event {
            Event::Pool(event) => self.of_pool(py, event),
            Event::Topology(event) => self.of_topology(py, event),
            Event::Heartbeat(event) => of_heartbeat(py, event),
            Event::Command(event) => self.of_command(py, event, because),
            Event::Selection(event) => loggers::of_selection(py, event, self.local_threshold),
            Event::Retry(event) => loggers::of_retry(py, event),
            Event::Transaction(entry) => loggers::of_transaction(py, entry),
        }
    }

    fn of_pool<'py>(&self, py: Python<'py>, event: &PoolEvent) -> PyResult<Call<'py>> {
        use PoolChange::*;
        let at = place(&event.address);
        let seconds = |duration: &Duration| duration.as_secs_f64();
        match &event.what {
            PoolCreated => call(py, "publish_pool_created", (at, self.pool_options.bind(py))),
            PoolReady => call(py, "publish_pool_ready", (at,)),
            PoolCleared { service_id, interrupt_connections } => {
                let service_id = id_or_none(py, *service_id)?;
                call(py, "publish_pool_cleared", (at, service_id, *interrupt_connections))
            }
            PoolClosed => call(py, "publish_pool_closed", (at,)),
            ConnectionCreated { id } => call(py, "publish_connection_created", (at, *id)),
            ConnectionReady { id, duration } => {
                call(py, "publish_connection_ready", (at, *id, seconds(duration)))
            }
            ConnectionClosed { id, reason } => {
                let reason = match reason {
                    CloseReason::Stale => "stale",
                    CloseReason::Idle => "idle",
                    CloseReason::Error => "error",
                    CloseReason::PoolClosed => "poolClosed",
                };
                call(py, "publish_connection_closed", (at, *id, reason))
            }
            CheckOutStarted => call(py, "publish_connection_check_out_started", (at,)),
            CheckOutFailed { reason, duration } => {
                let reason = match reason {
                    CheckOutFailure::Timeout => "timeout",
                    CheckOutFailure::PoolClosed => "poolClosed",
                    CheckOutFailure::ConnectionError => "connectionError",
                };
                let arguments = (at, reason, seconds(duration));
                call(py, "publish_connection_check_out_failed", arguments)
            }
            CheckedOut { id, duration } => {
                call(py, "publish_connection_checked_out", (at, *id, seconds(duration)))
            }
            CheckedIn { id } => call(py, "publish_connection_checked_in", (at, *id)),
        }
    }

    fn of_topology<'py>(&self, py: Python<'py>, event: &TopologyEvent) -> PyResult<Call<'py>> {
        let id = object_id(py, event.id)?;
        match &event.what {
            TopologyChange::Opened => call(py, "publish_topology_opened", (id,)),
            TopologyChange::Closed => call(py, "publish_topology_closed", (id,)),
            TopologyChange::Changed { old, new } => {
                let old = descriptions::topology(py, old, self.local_threshold)?;
                let new = descriptions::topology(py, new, self.local_threshold)?;
                call(py, "publish_topology_description_changed", (old, new, id))
            }
            TopologyChange::ServerOpened(address) => {
                call(py, "publish_server_opened", (place(address), id))
            }
            TopologyChange::ServerClosed(address) => {
                call(py, "publish_server_closed", (place(address), id))
            }
            TopologyChange::ServerChanged { old, new } => {
                let at = place(&new.address);
                let (old, new) = (descriptions::server(py, old)?, descriptions::server(py, new)?);
                call(py, "publish_server_description_changed", (old, new, at, id))
            }
        }
    }

    fn of_command<'py>(
        &self,
        py: Python<'py>,
        event: &CommandEvent,
        because: Option<&PyErr>,
    ) -> PyResult<Call<'py>> {
        let about = &*event.about;
        let (request_id, operation_id) = (about.request_id, about.operation_id);
        let (at, connection_id) = (place(&about.address), about.server_connection_id);
        let service_id = id_or_none(py, about.service_id)?;
        let failed = |duration: Duration, failure| {
            call(
                py,
                "publish_command_failure",
                (
                    duration,
                    failure,
                    &about.name,
                    request_id,
                    at,
                    connection_id,
                    operation_id,
                    &service_id,
                    &about.database,
                ),
            )
        };
        match &event.what {
            CommandChange::Started { body, documents } => {
                let command = match body {
                    Some(body) => {
                        if_decodable(py, codec::decode_document(py, body, &self.codecs.0))?
                    }
                    None => None,
                };
                let command = match command {
                    Some(command) => command,
                    None => {
                        let name_only = PyDict::new(py);
                        name_only.set_item(&about.name, 1)?;
                        name_only.into_any()
                    }
                };
                for (name, documents) in documents {
                    if let Some(documents) = if_decodable(py, self.documents(py, documents))? {
                        command.set_item(*name, documents)?;
                    }
                }
                call(
                    py,
                    "publish_command_start",
                    (
                        command,
                        &about.database,
                        request_id,
                        at,
                        connection_id,
                        operation_id,
                        service_id,
                    ),
                )
            }
            CommandChange::Succeeded { duration, reply } => {
                let hidden = matches!(reply, Answer::Hidden);
                let reply = match reply {
                    Answer::Document(bytes) => {
                        let reply =
                            codec::decode_reply(py, bytes, &self.codecs.1, &Contents::Servers);
                        if_decodable(py, reply)?.unwrap_or_else(|| PyDict::new(py).into_any())
                    }
                    Answer::Unasked => {
                        let ok = PyDict::new(py);
                        ok.set_item("ok", 1)?;
                        ok.into_any()
                    }
                    Answer::Hidden => PyDict::new(py).into_any(),
                };
                call(
                    py,
                    "publish_command_success",
                    (
                        *duration,
                        reply,
                        &about.name,
                        request_id,
                        at,
                        connection_id,
                        operation_id,
                        service_id,
                        hidden, // PyMongo asks about hellos only; other names are hidden anyway
                        &about.database,
                    ),
                )
            }
            CommandChange::Failed { duration, error } => failed(*duration, failure(py, error)?),
            CommandChange::CutShort { duration } => {
                let failure = match because {
                    Some(because) => failure_of(py, because)?,
                    None => failure(py, &about.unexplained_end())?,
                };
                failed(*duration, failure)
            }
        }
    }

    fn documents<'py>(&self, py: Python<'py>, mut bytes: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        while let Some((length, _)) = bytes.split_first_chunk::<4>() {
            let (document, rest) = bytes.split_at(u32::from_le_bytes(*length) as usize);
            list.append(codec::decode_document(py, document, &self.codecs.0)?)?;
            bytes = rest;
        }
        Ok(list)
    }
}

/// A command that has started also ends for its listeners, whatever the user's document class raises.
fn if_decodable<T>(py: Python<'_>, decoded: PyResult<T>) -> PyResult<Option<T>> {
    match decoded {
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        decoded => decoded.map(Some),
    }
}

fn of_heartbeat<'py>(py: Python<'py>, event: &HeartbeatEvent) -> PyResult<Call<'py>> {
    let (at, awaited) = (place(&event.address), event.awaited);
    match &event.what {
        HeartbeatChange::Started => call(py, "publish_server_heartbeat_started", (at, awaited)),
        HeartbeatChange::Succeeded { duration, reply } => {
            let hello = descriptions::hello(&options::to_dict(py, reply)?, awaited)?;
            let arguments = (at, duration.as_secs_f64(), hello, awaited);
            call(py, "publish_server_heartbeat_succeeded", arguments)
        }
        HeartbeatChange::Failed { duration, error, timeout } => {
            let class = match timeout {
                true => &imports::NETWORK_TIMEOUT,
                false => &imports::AUTO_RECONNECT,
            };
            let error = class.get(py)?.call1((error,))?;
            let arguments = (at, duration.as_secs_f64(), error, awaited);
            call(py, "publish_server_heartbeat_failed", arguments)
        }
    }
}

/// The server's reply, or what else there is to say.
fn failure<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    if let Some(reply) = error.reply() {
        return errors::decode_reply(py, reply);
    }
    failure_of(py, &errors::to_python(py, error))
}

/// As in PyMongo.
fn failure_of<'py>(py: Python<'py>, error: &PyErr) -> PyResult<Bound<'py, PyAny>> {
    let kind = error.get_type(py).name()?;
    // Its `__str__` may be the user's.
    let mut text = error.value(py).str().map(|text| text.to_string()).unwrap_or_default();
    if text.is_empty() {
        text = format!("operation interrupted by {kind}");
    }
    let document = PyDict::new(py);
    document.set_item("errmsg", text)?;
    document.set_item("errtype", kind)?;
    Ok(document.into_any())
}
