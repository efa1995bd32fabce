//! The time limit of a call: `timeout()` around it, else the client's timeoutMS.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::imports;
use crate::deadline::{Deadline, TimeLimit};
use crate::settings::Settings;

/// To be asked for when the user's call begins: everything the call leads to shares it.
pub fn current(py: Python<'_>, settings: &Settings) -> PyResult<TimeLimit> {
    let around = imports::CURRENT_TIMEOUT.get(py)?.call0()?;
    let own = if around.is_none() {
        let Some(timeout) = settings.timeout else { return Ok(TimeLimit::Unset) };
        if timeout.is_zero() {
            return Ok(TimeLimit::Until(Deadline::NEVER));
        }
        Deadline::after(Instant::now(), Some(timeout))
    } else if around.extract::<f64>()? == 0.0 {
        return Ok(TimeLimit::Until(Deadline::NEVER));
    } else {
        Deadline::NEVER
    };
    Ok(TimeLimit::Until(own.earlier(enclosing(py)?)))
}

/// The earliest deadline of the `timeout()` blocks around the call, which are told on Python's clock.
fn enclosing(py: Python<'_>) -> PyResult<Deadline> {
    let at: f64 = imports::CURRENT_DEADLINE.get(py)?.call0()?.extract()?;
    if at.is_infinite() {
        return Ok(Deadline::NEVER);
    }
    let now: f64 = imports::MONOTONIC.get(py)?.call0()?.extract()?;
    // A sum too large for a clock is no limit.
    let left = Duration::try_from_secs_f64((at - now).max(0.0)).ok();
    Ok(Deadline::after(Instant::now(), left))
}
