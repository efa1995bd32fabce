//! The event loop driver: sockets registered with the running asyncio loop, tasks suspended on its
//! futures. Works on every loop with `add_reader` (asyncio's own on Unix, uvloop).

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::future::Started;
use super::loop_callbacks::{Bell, Readable, Wake, Writable};
use super::loop_lane::{LoopLane, in_empty_context, wake_inherited};
use super::once::name;
use super::pulse::{Beat, Waiting};
use super::task::{Step, Task};
use super::{callbacks, errors, imports};
use crate::error::Error;
use crate::net::wait::{self, WaitSet};

/// A task on its way in one event loop.
pub struct Flight {
    task: Option<Box<dyn Task>>,
    lane: Py<LoopLane>,
    set: WaitSet,
    waker: Waker,
    number: u64,
    timer: Option<Py<PyAny>>,
    /// While it is suspended.
    waiting: Option<Waiting>,
    /// A bare yield: let others run, then go on.
    pause: bool,
}

impl Flight {
    /// The loop and the task back if this loop cannot watch sockets.
    #[allow(clippy::type_complexity)]
    pub fn new<'py>(
        py: Python<'py>,
        task: Box<dyn Task>,
    ) -> PyResult<Result<Flight, (Bound<'py, PyAny>, Box<dyn Task>)>> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
        let lane = LoopLane::of(&event_loop)?;
        if !lane.get().watches {
            return Ok(Err((event_loop, task)));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let waker = lane.get().lane.waker(number);
        let set = WaitSet { lane: Some(lane.get().lane.clone()), ..WaitSet::default() };
        let lane = lane.unbind();
        let task = Some(task);
        Ok(Ok(Flight { task, lane, set, waker, number, timer: None, waiting: None, pause: false }))
    }

    /// Polls until the task waits for something; `suspended` then answers what to yield.
    pub fn step(&mut self, py: Python<'_>) -> PyResult<Poll<Py<PyAny>>> {
        self.waiting = None;
        self.forget_timer(py)?;
        self.forget_gate();
        let result = self.advance(py);
        if !matches!(result, Ok(Poll::Pending)) {
            self.task = None;
            self.set.sockets.clear();
            self.lane.get().close_buried(py)?;
        }
        result
    }

    /// The object that the awaiting task yields to its loop.
    pub fn suspended(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.takes_pause() {
            return Ok(py.None());
        }
        self.refuse_inherited(py)?; // first: a child may have no running loop
        let event_loop = imports::GET_RUNNING_LOOP.get(py)?.call0()?;
        let future = event_loop.call_method0(name!(py, "create_future"))?;
        future.setattr(name!(py, "_asyncio_future_blocking"), true)?;
        self.arm(&event_loop, &future)?;
        Ok(future.unbind())
    }

    /// Of a process that was forked in what was called meanwhile.
    fn refuse_inherited(&self, py: Python<'_>) -> PyResult<()> {
        if self.lane.get().lane.is_inherited() {
            return Err(errors::to_python(py, &Error::forked()));
        }
        Ok(())
    }

    /// True once if the task only lets others run.
    pub fn takes_pause(&mut self) -> bool {
        std::mem::take(&mut self.pause)
    }

    /// Has `sleeper`, a future or a started call, woken when what the task waits for is there.
    pub fn arm(
        &mut self,
        event_loop: &Bound<'_, PyAny>,
        sleeper: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = event_loop.py();
        self.refuse_inherited(py)?;
        let lane = self.lane.get();
        for (stream, interest) in &self.set.sockets {
            lane.watch(event_loop, stream, *interest, sleeper)?;
        }
        if self.set.gate {
            let former = lane.gates.lock().insert(self.number, sleeper.clone().unbind());
            drop(former);
        }
        if let Some(at) = self.set.deadline {
            let delay = at.saturating_duration_since(Instant::now()).as_secs_f64();
            let wake = Bound::new(py, Wake(sleeper.clone().unbind()))?;
            let timer = in_empty_context(event_loop, "call_later", delay, wake)?;
            self.timer = Some(timer.unbind());
        }
        self.waiting = Some(lane.pulse.wait(event_loop, self.lane.bind(py))?);
        lane.close_buried(py)
    }

    /// Drops the task; what it left half-done on the wire is closed.
    pub fn cancel(mut self, py: Python<'_>) -> PyResult<()> {
        self.task = None;
        self.set.sockets.clear();
        self.forget_gate();
        self.forget_timer(py)?;
        self.lane.get().close_buried(py)
    }

    fn advance(&mut self, py: Python<'_>) -> PyResult<Poll<Py<PyAny>>> {
        while let Some(task) = &mut self.task {
            let work = std::pin::pin!(poll_fn(|context| task.poll(context)));
            if wait::poll(&mut self.set, &self.waker, work).is_pending() {
                return Ok(Poll::Pending);
            }
            self.set.sockets.clear();
            callbacks::run(py, None)?; // as `poll_blocking` does
            match self.task.take().map(|task| task.finish(py)).transpose()? {
                Some(Step::Done(value)) => return Ok(Poll::Ready(value)),
                Some(Step::Again(next)) => self.task = Some(next),
                Some(Step::Pause(next)) => {
                    self.task = Some(next);
                    self.pause = true;
                    return Ok(Poll::Pending);
                }
                None => break,
            }
        }
        Ok(Poll::Ready(py.None()))
    }

    /// What woke us may have been a socket or the clock.
    fn forget_gate(&mut self) {
        if std::mem::take(&mut self.set.gate) {
            let forgotten = self.lane.get().gates.lock().remove(&self.number);
            drop(forgotten);
        }
    }

    fn forget_timer(&mut self, py: Python<'_>) -> PyResult<()> {
        if let Some(timer) = self.timer.take() {
            timer.call_method0(py, name!(py, "cancel"))?;
        }
        Ok(())
    }
}

/// Makes the classes that the module does not export: pyo3 makes a class at its first use, in a
/// cell with the weakness that `once` tells of.
pub fn prepare(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    py.get_type::<LoopLane>();
    py.get_type::<Wake>();
    py.get_type::<Readable>();
    py.get_type::<Writable>();
    py.get_type::<Bell>();
    py.get_type::<Beat>();
    py.get_type::<Started>();
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(wake_inherited, module)?)?;
    imports::REGISTER_AT_FORK.get(py)?.call((), Some(&hooks)).map(drop)
}
