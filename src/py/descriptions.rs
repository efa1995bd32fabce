//! Servers as PyMongo's objects, which callbacks are shown.

use pyo3::prelude::*;

use super::{imports, options};
use crate::topology::address::Address;
use crate::topology::as_hello;
use crate::topology::server::ServerDescription;

pub fn server<'py>(py: Python<'py>, server: &ServerDescription) -> PyResult<Bound<'py, PyAny>> {
    let hello = hello(&options::to_dict(py, &as_hello::document(server))?, false)?;
    let error = match &server.error {
        Some(text) => Some(imports::AUTO_RECONNECT.get(py)?.call1((text,))?),
        None => None,
    };
    let round_trip = server.round_trip_time.map(|time| time.as_secs_f64());
    imports::SERVER_DESCRIPTION.get(py)?.call1((place(&server.address), hello, round_trip, error))
}

pub fn hello<'py>(document: &Bound<'py, PyAny>, awaited: bool) -> PyResult<Bound<'py, PyAny>> {
    imports::HELLO.get(document.py())?.call1((document, awaited))
}

/// (host, port), or (path, None).
pub fn place(address: &Address) -> (&str, Option<u16>) {
    (&address.host, (!address.is_unix_socket()).then_some(address.port))
}
