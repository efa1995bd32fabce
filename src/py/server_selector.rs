//! The `server_selector` option: a callable that is given PyMongo's `ServerDescription`s and answers
//! those to consider. It runs in the thread or task that waits for a server; what it raises reaches
//! the caller as it is.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{descriptions, gil};
use crate::error::Error;
use crate::topology::address::Address;
use crate::topology::selection::Selector;
use crate::topology::server::ServerDescription;

pub fn selector(callable: Py<PyAny>) -> Selector {
    Selector::new(move |suitable| {
        gil::attach(|py| choose(callable.bind(py), suitable))
            .map_err(|raised| Error::callback(Arc::new(raised)))
    })
}

fn choose(callable: &Bound<'_, PyAny>, suitable: &[&ServerDescription]) -> PyResult<Vec<Address>> {
    let py = callable.py();
    let shown: Vec<_> =
        suitable.iter().map(|it| descriptions::server(py, it)).collect::<PyResult<_>>()?;
    let chosen = callable.call1((shown,))?;
    if !chosen.is_truthy()? {
        return Ok(Vec::new());
    }
    let address = |chosen: PyResult<Bound<'_, PyAny>>| {
        let (host, port): (String, Option<i64>) = chosen?.getattr("address")?.extract()?;
        Address::from_user(&host, port).map_err(|error| PyValueError::new_err(error.to_string()))
    };
    chosen.try_iter()?.map(address).collect()
}
