//! New ObjectIds for documents without an `_id`: seconds, five bytes that are this process's own, a counter. What
//! `bson.ObjectId()` makes, at a fraction of its cost: in bulk inserts that was most of the client's work.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use super::imports;
use super::once::{Once, name};
use crate::net::fork;
use crate::ops::gridfs::cutter::Ids;

pub fn generate(py: Python<'_>) -> PyResult<[u8; 12]> {
    let (process, counter) = (own_bytes(py)?, COUNTER.fetch_add(1, Relaxed));
    let mut id = [0; 12];
    id[..4].copy_from_slice(&seconds(py)?.to_be_bytes());
    id[4..9].copy_from_slice(&process.to_be_bytes()[3..]);
    id[9..].copy_from_slice(&counter.to_be_bytes()[1..]);
    Ok(id)
}

/// As many new ones for where there is no Python.
pub fn reserve(py: Python<'_>, count: usize) -> PyResult<Ids> {
    if count == 0 {
        return Ok(Ids { prefix: [0; 9], next: 0 });
    }
    let first = generate(py)?;
    let next = u32::from_be_bytes([0, first[9], first[10], first[11]]);
    COUNTER.fetch_add((count - 1) as u32, Relaxed);
    Ok(Ids { prefix: first[..9].try_into().expect("nine of twelve"), next })
}

/// Python's clock and not ours: test suites stop it by replacing `time.time`.
fn seconds(py: Python<'_>) -> PyResult<u32> {
    static TIME: Once<Py<PyModule>> = Once::new();
    let module = TIME.get_or_try_init(py, || py.import("time").map(Bound::unbind))?.bind(py);
    let now: f64 = module.getattr(name!(py, "time"))?.call0()?.extract()?;
    u32::try_from(now as i64)
        .map_err(|_| PyOverflowError::new_err("an ObjectId holds the seconds from 1970 to 2106"))
}

/// A forked child draws its own bytes, and a counter to start from.
fn own_bytes(py: Python<'_>) -> PyResult<u64> {
    fork::watch();
    let generation = fork::generation();
    if DRAWN_IN.load(Relaxed) != generation {
        let random: [u8; 8] = imports::URANDOM.get(py)?.call1((8,))?.extract()?;
        let random = u64::from_le_bytes(random);
        COUNTER.store(random as u32, Relaxed);
        PROCESS.store(random >> 24, Relaxed);
        DRAWN_IN.store(generation, Relaxed);
    }
    Ok(PROCESS.load(Relaxed))
}

// The GIL is held by whoever reads or writes these; atomics make them statics.
static DRAWN_IN: AtomicU64 = AtomicU64::new(u64::MAX);
static PROCESS: AtomicU64 = AtomicU64::new(0);
static COUNTER: AtomicU32 = AtomicU32::new(0);
