//! Topologies and servers as PyMongo's objects, for callbacks, events and `topology_description`.

use std::time::Duration;

use bson::oid::ObjectId;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::{imports, options};
use crate::topology::address::Address;
use crate::topology::as_hello;
use crate::topology::server::ServerDescription;
use crate::topology::snapshot::Snapshot;

pub fn topology<'py>(
    py: Python<'py>,
    snapshot: &Snapshot,
    local_threshold: Duration,
) -> PyResult<Bound<'py, PyAny>> {
    let servers = PyDict::new(py);
    for server in snapshot.servers.values() {
        servers.set_item(place(&server.address), self::server(py, server)?)?;
    }
    // What PyMongo's class asks of its settings.
    let settings = PyDict::new(py);
    settings.set_item("_topology_id", object_id(py, snapshot.settings.id)?)?;
    settings
        .set_item("heartbeat_frequency", snapshot.settings.heartbeat_frequency.as_secs_f64())?;
    settings.set_item("local_threshold_ms", local_threshold.as_secs_f64() * 1000.0)?;
    let seeds = snapshot.settings.seeds.iter().map(place);
    settings.set_item("seeds", PyList::new(py, seeds)?)?;
    settings.set_item("_srv_max_hosts", 0)?;
    imports::TOPOLOGY_DESCRIPTION.get(py)?.call1((
        // Its types have numbers in the same order.
        snapshot.kind as i32,
        servers,
        &snapshot.set_name,
        snapshot.max_set_version,
        snapshot.max_election_id.map(|id| object_id(py, id)).transpose()?,
        imports::SIMPLE_NAMESPACE.get(py)?.call((), Some(&settings))?,
    ))
}

pub fn server<'py>(py: Python<'py>, server: &ServerDescription) -> PyResult<Bound<'py, PyAny>> {
    let hello = hello(&options::to_dict(py, &as_hello::document(server))?, false)?;
    let class = match server.not_primary {
        true => &imports::NOT_PRIMARY_ERROR,
        false => &imports::AUTO_RECONNECT,
    };
    let error = match &server.error {
        Some(text) => Some(class.get(py)?.call1((text,))?),
        None => None,
    };
    imports::SERVER_DESCRIPTION.get(py)?.call1((
        place(&server.address),
        hello,
        server.round_trip_time.map(|time| time.as_secs_f64()),
        error,
        server.min_round_trip_time.as_secs_f64(),
    ))
}

pub fn hello<'py>(document: &Bound<'py, PyAny>, awaited: bool) -> PyResult<Bound<'py, PyAny>> {
    imports::HELLO.get(document.py())?.call1((document, awaited))
}

pub fn object_id(py: Python<'_>, id: ObjectId) -> PyResult<Bound<'_, PyAny>> {
    imports::OBJECT_ID.get(py)?.call1((&id.bytes()[..],))
}

/// (host, port), or (path, None).
pub fn place(address: &Address) -> (&str, Option<i64>) {
    (&address.host, address.port)
}
