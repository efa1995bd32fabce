//! The driver for event loops that cannot watch sockets: one of the loop's threads blocks on the I/O of a
//! task. The result is processed by the awaiting task, in a step of its own.

use std::sync::Arc;
use std::task::{Context, Poll};

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

use super::once::name;
use super::pending::{Stepped, poll_blocking};
use super::task::{Step, Task};
use super::{callbacks, imports};
use crate::event::own;
use crate::net::fork::OfProcess;
use crate::sync::Mutex;

/// A task on its way in a thread of an event loop.
pub struct Errand {
    event_loop: Py<PyAny>,
    /// The iterator of the thread's future.
    future: Py<PyAny>,
    place: Arc<Place>,
}

/// Where the task is, also while the thread polls it: giving it up is done when the call returns, whatever the
/// thread is doing. The lock is held for each poll, in which nothing needs the GIL. Empty once it is taken or
/// given up.
type Place = OfProcess<Mutex<Option<Box<dyn Task>>>>;

impl Errand {
    pub fn new(event_loop: &Bound<'_, PyAny>, task: Box<dyn Task>) -> PyResult<Errand> {
        let (future, place) = send(event_loop, task)?;
        Ok(Errand { event_loop: event_loop.clone().unbind(), future, place })
    }

    pub fn step(&mut self, py: Python<'_>) -> PyResult<Stepped> {
        loop {
            match self.future.call_method0(py, name!(py, "__next__")) {
                Err(done) if done.is_instance_of::<PyStopIteration>(py) => {}
                waits => return waits.map(Stepped::Yields),
            }
            let Some(task) = take(&self.place) else {
                unreachable!("the thread has polled the task to its end, and it was not given up")
            };
            match task.finish(py)? {
                Step::Done(value) => return Ok(Stepped::Done(value)),
                Step::Again(next) | Step::Pause(next) => {
                    (self.future, self.place) = send(self.event_loop.bind(py), next)?;
                }
            }
        }
    }

    /// Closes the connection in use.
    pub fn give_up(&self) {
        drop(take(&self.place));
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.give_up();
    }
}

type Sent = (Py<PyAny>, Arc<Place>);

fn send(event_loop: &Bound<'_, PyAny>, task: Box<dyn Task>) -> PyResult<Sent> {
    let py = event_loop.py();
    let place = Arc::new(OfProcess::new(Mutex::new(Some(task))));
    let work = Bound::new(py, Work(place.clone()))?;
    // Listeners run in the context of the task.
    let run = imports::COPY_CONTEXT.get(py)?.call0()?.getattr(name!(py, "run"))?;
    let future = event_loop.call_method1(name!(py, "run_in_executor"), (py.None(), run, work))?;
    Ok((future.call_method0(name!(py, "__await__"))?.unbind(), place))
}

/// `None` too in a child that was forked meanwhile, whose lock may be held by a thread that it does not have.
fn take(place: &Place) -> Option<Box<dyn Task>> {
    if place.is_inherited() { None } else { place.lock().take() }
}

/// What the thread calls.
#[pyclass(frozen)]
struct Work(Arc<Place>);

#[pymethods]
impl Work {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let _own = own::Collecting::begin();
        let poll = |context: &mut Context<'_>| match &mut *self.0.lock() {
            Some(task) => task.poll(context),
            None => Poll::Ready(()),
        };
        let polled = poll_blocking(py, poll, Some(&|| self.0.lock().is_none()));
        if polled.is_err() {
            drop(take(&self.0));
        }
        callbacks::run(py, polled.as_ref().err())?; // what was cut short
        polled.map(drop)
    }
}

/// As `loop_driver::prepare`.
pub fn prepare(py: Python<'_>) {
    py.get_type::<Work>();
}
