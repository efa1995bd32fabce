//! The `server_selector` option: a callable that is given PyMongo's `ServerDescription`s and answers
//! those to consider. It runs in the thread or task that waits for a server.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::descriptions;
use crate::topology::address::Address;
use crate::topology::server::ServerDescription;

pub fn choose(
    selector: &Bound<'_, PyAny>,
    suitable: Vec<ServerDescription>,
) -> PyResult<Vec<Address>> {
    let py = selector.py();
    let shown: Vec<_> =
        suitable.iter().map(|it| descriptions::server(py, it)).collect::<PyResult<_>>()?;
    let chosen = selector.call1((shown,))?;
    if !chosen.is_truthy()? {
        return Ok(Vec::new());
    }
    let address = |chosen: PyResult<Bound<'_, PyAny>>| {
        let (host, port): (String, Option<i64>) = chosen?.getattr("address")?.extract()?;
        Address::from_user(&host, port).map_err(|error| PyValueError::new_err(error.to_string()))
    };
    chosen.try_iter()?.map(address).collect()
}
