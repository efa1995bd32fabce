//! Servers as PyMongo's `ServerDescription`, for callbacks and events.

use pyo3::prelude::*;

use super::{imports, options};
use crate::error::Error;
use crate::topology::address::Address;
use crate::topology::document::hello_document;
use crate::topology::selection::Selector;
use crate::topology::server::ServerDescription;

pub fn server<'py>(py: Python<'py>, server: &ServerDescription) -> PyResult<Bound<'py, PyAny>> {
    let reply = options::to_dict(py, &hello_document(server))?;
    let hello = imports::HELLO.get(py)?.call1((reply,))?;
    let round_trip = server.round_trip_time.map(|time| time.as_secs_f64());
    let error = match &server.error {
        Some(text) => Some(imports::AUTO_RECONNECT.get(py)?.call1((text,))?),
        None => None,
    };
    let class = imports::SERVER_DESCRIPTION.get(py)?;
    class.call1((place(&server.address), hello, round_trip, error))
}

/// An address as PyMongo has it: a Unix domain socket has no port.
pub fn place(address: &Address) -> (&str, Option<u16>) {
    (&address.host, (!address.is_unix_socket()).then_some(address.port))
}

/// From a callable that is given a list of servers and answers those to consider. It runs in the
/// thread or task that waits for a server; what it raises reaches the caller as it is.
pub fn selector(callable: Py<PyAny>) -> Selector {
    Selector::new(move |suitable| {
        Python::attach(|py| choose(callable.bind(py), suitable))
            .map_err(|raised| Error::callback(std::sync::Arc::new(raised)))
    })
}

fn choose(callable: &Bound<'_, PyAny>, suitable: &[&ServerDescription]) -> PyResult<Vec<Address>> {
    let py = callable.py();
    let shown: Vec<_> = suitable.iter().map(|it| server(py, it)).collect::<PyResult<_>>()?;
    let chosen = callable.call1((shown,))?;
    if !chosen.is_truthy()? {
        return Ok(Vec::new());
    }
    let address = |chosen: PyResult<Bound<'_, PyAny>>| {
        let (host, port): (String, Option<u16>) = chosen?.getattr("address")?.extract()?;
        Ok(Address::new(&host, port.unwrap_or_default()))
    };
    chosen.try_iter()?.map(address).collect()
}
