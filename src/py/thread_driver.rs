//! The driver for event loops that cannot watch sockets: one of the loop's threads blocks on the I/O of a
//! task. The result is processed by the awaiting task, in a step of its own.

use std::sync::Arc;

use crate::sync::Mutex;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

use super::once::name;
use super::pending::{Stepped, poll_blocking};
use super::task::{Step, Task};
use super::{callbacks, imports};
use crate::event::own;

/// A task on its way in a thread of an event loop.
pub struct Errand {
    event_loop: Py<PyAny>,
    /// The iterator of the thread's future.
    future: Py<PyAny>,
    place: Arc<Mutex<Place>>,
}

enum Place {
    /// To be polled by the thread, or polled by it to the end.
    Here(Box<dyn Task>),
    InThread,
    /// With the reason.
    GivenUp(Option<PyErr>),
}

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
                unreachable!("the thread returned the task, as it was not given up")
            };
            match task.finish(py)? {
                Step::Done(value) => return Ok(Stepped::Done(value)),
                Step::Again(next) | Step::Pause(next) => {
                    (self.future, self.place) = send(self.event_loop.bind(py), next)?;
                }
            }
        }
    }

    /// The thread notices in its next slice of waiting, and closes the connection in use.
    pub fn give_up(&self, because: Option<PyErr>) {
        let mut place = self.place.lock();
        if matches!(*place, Place::GivenUp(_)) {
            return;
        }
        let left = std::mem::replace(&mut *place, Place::GivenUp(because));
        drop(place);
        drop(left);
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.give_up(None);
    }
}

type Sent = (Py<PyAny>, Arc<Mutex<Place>>);

fn send(event_loop: &Bound<'_, PyAny>, task: Box<dyn Task>) -> PyResult<Sent> {
    let py = event_loop.py();
    let place = Arc::new(Mutex::new(Place::Here(task)));
    let work = Bound::new(py, Work(place.clone()))?;
    // Listeners run in the context of the task.
    let run = imports::COPY_CONTEXT.get(py)?.call0()?.getattr(name!(py, "run"))?;
    let future = event_loop.call_method1(name!(py, "run_in_executor"), (py.None(), run, work))?;
    Ok((future.call_method0(name!(py, "__await__"))?.unbind(), place))
}

fn take(place: &Mutex<Place>) -> Option<Box<dyn Task>> {
    let mut place = place.lock();
    match std::mem::replace(&mut *place, Place::InThread) {
        Place::Here(task) => Some(task),
        other => {
            *place = other;
            None
        }
    }
}

/// What the thread calls.
#[pyclass(frozen)]
struct Work(Arc<Mutex<Place>>);

#[pymethods]
impl Work {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let Some(mut task) = take(&self.0) else { return Ok(()) };
        let _own = own::Collecting::begin();
        let given_up = || matches!(*self.0.lock(), Place::GivenUp(_));
        let polled = poll_blocking(py, &mut task, Some(&given_up));
        if matches!(polled, Ok(true)) {
            let mut place = self.0.lock();
            if !matches!(*place, Place::GivenUp(_)) {
                *place = Place::Here(task);
                return Ok(());
            }
        }
        drop(task);
        let given_up = match &mut *self.0.lock() {
            Place::GivenUp(because) => because.take(),
            _ => None,
        };
        callbacks::run(py, polled.as_ref().err().or(given_up.as_ref()))?; // what was cut short
        polled.map(drop)
    }
}

/// As `loop_driver::prepare`.
pub fn prepare(py: Python<'_>) {
    py.get_type::<Work>();
}
