//! Wakes a loop twice a second while operations wait in it, so that Ctrl-C is answered.
//!
//! A signal handler written in Python runs inside the selector's wait, which then goes on waiting (PEP 475).
//! What the handler has scheduled from the loop's own thread, such as ipykernel's cancellation of a cell, is
//! noticed only when the loop wakes up for another reason.
//!
//! One timer per loop, armed by the first operation that waits. A wait costs a counter and a look at a flag: the
//! timer is not cancelled when the operation ends, it lapses when it finds nothing that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::imports;
use super::loop_lane::{LoopLane, in_empty_context};

/// A lane's timer, and the operations that wait for it.
#[derive(Default)]
pub struct Pulse {
    waiting: Arc<()>,
    armed: AtomicBool,
}

/// An operation that waits in the loop, until it is dropped.
pub struct Waiting {
    _one: Arc<()>,
}

impl Pulse {
    /// The operation that calls it, in the loop's thread, is about to wait.
    pub fn wait(
        &self,
        event_loop: &Bound<'_, PyAny>,
        lane: &Bound<'_, LoopLane>,
    ) -> PyResult<Waiting> {
        let waiting = Waiting { _one: self.waiting.clone() };
        if !self.armed.load(Ordering::Relaxed) {
            let beat = Beat(PyWeakrefReference::new(lane)?.unbind());
            self.arm(event_loop, Bound::new(lane.py(), beat)?)?;
        }
        Ok(waiting)
    }

    fn arm(&self, event_loop: &Bound<'_, PyAny>, beat: Bound<'_, Beat>) -> PyResult<()> {
        in_empty_context(event_loop, "call_later", INTERVAL, beat)?;
        self.armed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn is_needed(&self) -> bool {
        Arc::strong_count(&self.waiting) > 1
    }
}

/// The timer's callback. It does not keep the lane alive, which ends with its loop.
#[pyclass(frozen)]
pub struct Beat(Py<PyWeakrefReference>);

#[pymethods]
impl Beat {
    fn __call__(slf: Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let Some(lane) = slf.get().0.bind(py).upgrade_as::<LoopLane>()? else { return Ok(()) };
        let pulse = lane.get().pulse();
        pulse.armed.store(false, Ordering::Relaxed);
        if pulse.is_needed() {
            let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
            pulse.arm(&event_loop, slf)?;
        }
        Ok(())
    }
}

/// Seconds. Interrupts are answered within this time.
const INTERVAL: f64 = 0.5;
