//! The loggers' share of events: whether they want any, and what only a log tells.

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::descriptions::{self, place};
use super::imports;
use super::listeners::{Call, call};
use super::once::name;
use crate::event::Event;
use crate::event::command::{CommandChange, CommandEvent};
use crate::event::heartbeat::HeartbeatEvent;
use crate::event::logs::{self, Logger};
use crate::event::selection::{RetryEvent, SelectionChange, SelectionEvent};
use crate::topology::read_preference::{ReadMode, ReadPreference};
use crate::topology::selection::Criteria;

/// Notices changed levels: called as an operation begins, so all it does is to look for a mark in what
/// `logging` remembers. Each change of a level clears that memory.
pub fn look(py: Python<'_>) -> PyResult<()> {
    let known = imports::KNOWN_LEVELS.get(py)?.cast::<PyDict>()?;
    if known.contains(imports::LEVELS_SEEN.get(py)?)? {
        return Ok(());
    }
    imports::LOOK_AT_LOGGERS.get(py)?.call0().map(drop)
}

/// Which of the loggers of commands, connections, server selection and topologies want records, and whether
/// that of transactions wants them of all or of unknown outcomes.
#[pyfunction]
pub fn note_loggers(wanted: (bool, bool, bool, bool, bool, bool)) {
    let (command, connection, selection, topology, transaction, unknown) = wanted;
    let bit = |wanted, logger| if wanted { logger as u8 } else { 0 };
    logs::note(
        bit(command, Logger::Command)
            | bit(connection, Logger::Connection)
            | bit(selection, Logger::ServerSelection)
            | bit(topology, Logger::Topology)
            | bit(transaction, Logger::Transaction)
            | bit(unknown, Logger::UnknownTransaction),
    );
}

pub fn of(event: &Event) -> Logger {
    match event {
        Event::Command(_) | Event::Retry(_) => Logger::Command,
        Event::Pool(_) => Logger::Connection,
        Event::Selection(_) => Logger::ServerSelection,
        Event::Topology(_) | Event::Heartbeat(_) => Logger::Topology,
        // It is built only if the logger wants it.
        Event::Transaction(_) => Logger::UnknownTransaction,
    }
}

/// Beside the arguments of the listeners' method. `None`: no record is made of it.
pub fn more_about<'py>(py: Python<'py>, event: &Event) -> PyResult<Option<Bound<'py, PyDict>>> {
    let more = PyDict::new(py);
    match event {
        Event::Command(CommandEvent { about, .. }) if !about.of_an_operation => return Ok(None),
        Event::Command(CommandEvent { about, what }) => {
            more.set_item(name!(py, "driver_connection_id"), about.driver_connection_id)?;
            let by_server = match what {
                CommandChange::Failed { error, .. } => {
                    Some(error.reply().is_some() && !error.is_state_change())
                }
                CommandChange::CutShort { .. } => Some(false),
                CommandChange::Started { .. } | CommandChange::Succeeded { .. } => None,
            };
            if let Some(by_server) = by_server {
                more.set_item(name!(py, "is_server_side_error"), by_server)?;
            }
        }
        Event::Heartbeat(HeartbeatEvent { driver_connection_id, server_connection_id, .. }) => {
            more.set_item(name!(py, "driver_connection_id"), driver_connection_id)?;
            more.set_item(name!(py, "server_connection_id"), server_connection_id)?;
        }
        Event::Pool(_) | Event::Topology(_) | Event::Selection(_) | Event::Retry(_) => {}
        Event::Transaction(_) => {}
    }
    Ok(Some(more))
}

pub fn of_selection<'py>(
    py: Python<'py>,
    event: &SelectionEvent,
    local_threshold: Duration,
) -> PyResult<Call<'py>> {
    let request = &*event.request;
    let criteria = match &request.criteria {
        None => imports::ANY_SERVER_SELECTOR.get(py)?.clone(),
        Some(Criteria::Writable) => imports::WRITABLE_SERVER_SELECTOR.get(py)?.clone(),
        Some(Criteria::Read(preference) | Criteria::Output(preference)) => {
            read_preference(py, preference)?
        }
    };
    let topology = descriptions::topology(py, &event.topology, local_threshold)?;
    let about = (criteria, &request.operation, request.operation_id, topology);
    match &event.what {
        SelectionChange::Started => call(py, "selection_started", (about,)),
        SelectionChange::Waiting { remaining } => {
            let milliseconds = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
            call(py, "selection_waiting", (about, milliseconds))
        }
        SelectionChange::Succeeded { address } => {
            call(py, "selection_succeeded", (about, place(address)))
        }
        SelectionChange::Failed { reason } => call(py, "selection_failed", (about, reason)),
    }
}

pub fn of_transaction<'py>(py: Python<'py>, entry: &[u8]) -> PyResult<Call<'py>> {
    call(py, "transaction_ended", (PyBytes::new(py, entry),))
}

pub fn of_retry<'py>(py: Python<'py>, event: &RetryEvent) -> PyResult<Call<'py>> {
    call(py, "retrying", (&event.operation, event.operation_id, event.attempt, event.write))
}

/// PyMongo's object.
fn read_preference<'py>(
    py: Python<'py>,
    preference: &ReadPreference,
) -> PyResult<Bound<'py, PyAny>> {
    let mode = match preference.mode {
        ReadMode::Primary => 0,
        ReadMode::PrimaryPreferred => 1,
        ReadMode::Secondary => 2,
        ReadMode::SecondaryPreferred => 3,
        ReadMode::Nearest => 4,
    };
    let restricted = preference.tag_sets.iter().any(|tags| !tags.is_empty());
    let tag_sets = restricted.then(|| {
        let sets = preference.tag_sets.iter();
        sets.map(|tags| tags.iter().cloned().collect()).collect::<Vec<BTreeMap<_, _>>>()
    });
    let staleness = preference.max_staleness.map_or(-1, |time| time.as_secs() as i64);
    imports::MAKE_READ_PREFERENCE.get(py)?.call1((mode, tag_sets, staleness))
}
