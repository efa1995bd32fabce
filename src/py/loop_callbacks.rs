//! What an event loop calls when a socket is ready, a moment has come, or another thread has rung the bell.

use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::future::Started;
use super::imports;
use super::loop_lane::{LoopLane, Registration};
use super::once::name;
use crate::net::inbox::Filled;
use crate::net::stream::Stream;

/// Has a future set, or a started call go on at once.
pub(super) fn wake(sleeper: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(started) = sleeper.cast_exact::<Started>() {
        return Started::wake(started);
    }
    let (py, future) = (sleeper.py(), sleeper);
    if !future.call_method0(name!(py, "done"))?.is_truthy()? {
        future.call_method1(name!(py, "set_result"), (py.None(),))?;
    }
    Ok(())
}

/// The timer's callback.
#[pyclass(frozen)]
pub(super) struct Wake(pub(super) Py<PyAny>);

#[pymethods]
impl Wake {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        wake(self.0.bind(py))
    }
}

/// A registered socket is readable: take in what came, wake the operation on a whole frame.
#[pyclass(frozen)]
pub(super) struct Readable(pub(super) Arc<Registration>);

#[pymethods]
impl Readable {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(stream) = self.0.stream.upgrade() else { return Ok(()) };
        // Letting go of the GIL costs more than it gives for little data.
        let filled = match stream.outstanding() > WORTH_DETACHING {
            true => py.detach(|| stream.fill()),
            false => stream.fill(),
        };
        if filled == Filled::Full {
            self.0.held_up.store(true, Ordering::Relaxed);
        }
        // In a child the number is not the stream's any more.
        if (filled == Filled::Full || stream.has_ended()) && !stream.is_inherited() {
            let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
            event_loop.call_method1(name!(py, "remove_reader"), (stream.fd(),))?;
        }
        if filled != Filled::Partly {
            let reader = self.0.reader.lock().take();
            if let Some(future) = reader {
                wake(future.bind(py))?;
            }
        }
        Ok(())
    }
}

/// A socket can be written to; asked for anew each time, as it is seldom needed.
#[pyclass(frozen)]
pub(super) struct Writable {
    pub(super) stream: Weak<Stream>,
    pub(super) socket: RawFd,
    pub(super) future: Py<PyAny>,
}

#[pymethods]
impl Writable {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if !self.stream.upgrade().is_some_and(|stream| stream.is_inherited()) {
            let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
            event_loop.call_method1(name!(py, "remove_writer"), (self.socket,))?;
        }
        wake(self.future.bind(py))
    }
}

/// Another thread, or another task, woke operations or handed over sockets.
#[pyclass(frozen)]
pub(super) struct Bell(pub(super) Py<PyWeakrefReference>);

#[pymethods]
impl Bell {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(lane) = self.0.bind(py).upgrade_as::<LoopLane>()? else { return Ok(()) };
        let lane = lane.get();
        for number in lane.lane.take_woken() {
            let waiting = lane.gates.lock().remove(&number);
            if let Some(future) = waiting {
                wake(future.bind(py))?;
            }
        }
        lane.close_buried(py)
    }
}

const WORTH_DETACHING: usize = 64 * 1024;
