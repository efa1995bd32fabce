//! The time limit of a call: `timeout()` around it, else the client's timeoutMS.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::imports;
use crate::deadline::{Deadline, TimeLimit};
use crate::settings::Settings;

/// To be asked for when the user's call begins: everything the call leads to shares it.
pub fn current(py: Python<'_>, settings: &Settings) -> PyResult<TimeLimit> {
    let around = imports::CURRENT_TIMEOUT.get(py)?.call0()?;
    let (own, timeout) = if around.is_none() {
        let Some(timeout) = settings.timeout else { return Ok(TimeLimit::Unset) };
        (Deadline::after(Instant::now(), Some(timeout)), timeout)
    } else {
        // What is too short for a clock has passed, and is not "no limit".
        let shortest = if around.is_truthy()? { Duration::from_nanos(1) } else { Duration::ZERO };
        (Deadline::NEVER, length(around.extract()?).unwrap_or(Duration::MAX).max(shortest))
    };
    if timeout.is_zero() {
        return Ok(TimeLimit::ENDLESS);
    }
    Ok(TimeLimit::Until { deadline: own.earlier(enclosing(py)?), timeout })
}

/// The earliest deadline of the `timeout()` blocks around the call, which are told on Python's clock.
fn enclosing(py: Python<'_>) -> PyResult<Deadline> {
    let at: f64 = imports::CURRENT_DEADLINE.get(py)?.call0()?.extract()?;
    if at.is_infinite() {
        return Ok(Deadline::NEVER);
    }
    let now: f64 = imports::MONOTONIC.get(py)?.call0()?.extract()?;
    Ok(Deadline::after(Instant::now(), length(at - now)))
}

/// A sum too large for a clock is no limit.
fn length(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}
