//! A built call that has not been sent. Blocked on with `run` or awaited: the same task either way.
//!
//! A task is a future that carries bytes and a `finish` that turns its result into Python objects.
//! The future is polled without the GIL (blocking driver) or within the awaiting task's own step
//! (event loop driver); `finish` always runs with the GIL, and may hand over a further task.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;

use super::loop_driver::Flight;
use super::{errors, listeners, loggers};
use crate::error::Error;
use crate::event::queue;
use crate::net::blocking;
use crate::net::fork::OfProcess;

pub trait Task: Send {
    /// Polls the I/O; the result stays inside until `finish`.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()>;
    fn finish(self: Box<Self>, py: Python<'_>) -> PyResult<Step>;
}

pub enum Step {
    Done(Py<PyAny>),
    Again(Box<dyn Task>),
    /// The same, after others on this event loop had a turn.
    Pause(Box<dyn Task>),
}

/// The usual task: a future and what to make of its output.
pub fn task<F, G>(future: F, finish: G) -> Box<dyn Task>
where
    F: Future + Send + 'static,
    F::Output: Send,
    G: FnOnce(Python<'_>, F::Output) -> PyResult<Step> + Send + 'static,
{
    Box::new(Work { future: Some(OfProcess::new(Box::pin(future))), output: None, finish })
}

struct Work<F: Future, G> {
    /// Dropped at its end: gives its connection back, and makes that known, before `finish`. A child
    /// that was forked before that (in a signal handler, in a callback) has no part in it.
    future: Option<OfProcess<Pin<Box<F>>>>,
    output: Option<F::Output>,
    finish: G,
}

impl<F, G> Task for Work<F, G>
where
    F: Future + Send,
    F::Output: Send,
    G: FnOnce(Python<'_>, F::Output) -> PyResult<Step> + Send,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else { return Poll::Ready(()) };
        if !future.is_inherited() {
            let polled = future.as_mut().poll(context);
            match polled {
                _ if future.is_inherited() => std::mem::forget(polled),
                Poll::Ready(output) => self.output = Some(output),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.future = None;
        Poll::Ready(())
    }

    fn finish(self: Box<Self>, py: Python<'_>) -> PyResult<Step> {
        let Work { output, finish, .. } = *self;
        match output {
            Some(output) => finish(py, output),
            None => Err(errors::to_python(py, &Error::forked())),
        }
    }
}

#[pyclass(name = "Pending", module = "ferromongo._core", frozen, generic)]
pub struct PyPending(Mutex<State>);

enum State {
    Built(Box<dyn Task>),
    /// Nothing needs to be sent.
    Known(PyResult<Py<PyAny>>),
    Flying(Flight),
    Over,
}

impl PyPending {
    pub fn new(task: Box<dyn Task>) -> PyPending {
        PyPending(Mutex::new(State::Built(task)))
    }

    pub fn known(result: PyResult<Py<PyAny>>) -> PyPending {
        PyPending(Mutex::new(State::Known(result)))
    }

    fn take(&self) -> PyResult<State> {
        let taken = self.0.try_lock().map(|mut state| std::mem::replace(&mut *state, State::Over));
        match taken {
            Some(State::Over) | None => {
                Err(PyRuntimeError::new_err("a pending call can be run or awaited only once"))
            }
            Some(state) => Ok(state),
        }
    }
}

/// Blocks this thread until the task and those that follow it are done. Ctrl-C is answered.
pub fn run_blocking(py: Python<'_>, task: Box<dyn Task>) -> PyResult<Py<PyAny>> {
    loggers::look(py)?;
    let result = run_to_the_end(py, task);
    listeners::deliver_own(py, true)?;
    result
}

fn run_to_the_end(py: Python<'_>, mut task: Box<dyn Task>) -> PyResult<Py<PyAny>> {
    loop {
        let (done, raised) = py.detach(|| {
            let raised = RefCell::new(None);
            let work = std::pin::pin!(poll_fn(|context| task.poll(context)));
            // What has begun is told while it is waited for.
            let tell = || {
                let told = || Python::attach(|py| listeners::deliver_own(py, false));
                queue::has_own()
                    && told().unwrap_or_else(|error| {
                        raised.replace(Some(error));
                        true
                    })
            };
            let interrupted = || {
                if raised.borrow().is_none() {
                    raised.replace(Python::attach(|py| py.check_signals()).err());
                }
                raised.borrow().is_some()
            };
            (blocking::run_beside(work, tell, interrupted), raised.into_inner())
        });
        if let Some(raised) = raised {
            drop(task); // closes the connection that is in mid-flight
            return Err(raised);
        }
        if done.is_none() {
            unreachable!("only an exception interrupts");
        }
        // Before the result is taken in: Ctrl-C in a listener must not lose a change of a stream.
        listeners::deliver_own(py, true)?;
        match task.finish(py)? {
            Step::Done(value) => return Ok(value),
            Step::Again(next) | Step::Pause(next) => task = next,
        }
    }
}

#[pymethods]
impl PyPending {
    /// Block until the call is done and answer its result.
    fn run(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.take()? {
            State::Built(task) => run_blocking(py, task),
            State::Known(result) => result,
            State::Flying(_) | State::Over => {
                Err(PyRuntimeError::new_err("this pending call is already awaited"))
            }
        }
    }

    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        let py = slf.py();
        match slf.get().take()? {
            State::Built(task) => match loggers::look(py).and_then(|()| Flight::new(py, task))? {
                Ok(flight) => *slf.get().0.lock() = State::Flying(flight),
                // This event loop cannot watch sockets: block in one of its threads.
                Err((event_loop, task)) => {
                    let blocking = Bound::new(py, PyPending::new(task))?;
                    let run = blocking.getattr("run")?;
                    let future = event_loop.call_method1("run_in_executor", (py.None(), run))?;
                    return future.call_method0("__await__");
                }
            },
            known => *slf.get().0.lock() = known,
        }
        Ok(slf.into_any())
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// One step of the awaiting task: answers a future to wait for, or raises StopIteration.
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(mut state) = self.0.try_lock() else {
            return Err(PyRuntimeError::new_err("this pending call is already being awaited"));
        };
        let result = match &mut *state {
            State::Flying(flight) => {
                let step = flight.step(py);
                match listeners::deliver_own(py, false).and(step) {
                    Ok(Poll::Pending) => return flight.suspended(py),
                    Ok(Poll::Ready(value)) => Ok(value),
                    Err(error) => Err(error),
                }
            }
            State::Known(_) => match std::mem::replace(&mut *state, State::Over) {
                State::Known(result) => result,
                _ => unreachable!("matched above"),
            },
            State::Built(_) | State::Over => {
                Err(PyRuntimeError::new_err("a pending call can be run or awaited only once"))
            }
        };
        *state = State::Over;
        drop(state);
        Err(result.map_or_else(|error| error, |value| PyStopIteration::new_err((value,))))
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.__next__(py)
    }

    /// Cancellation: the operation is dropped, its connection closed if it was in mid-flight.
    #[pyo3(signature = (kind, value = None, _traceback = None))]
    fn throw(
        &self,
        py: Python<'_>,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        self.close(py)?;
        let exception = match value {
            Some(value) if value.is_instance_of::<pyo3::exceptions::PyBaseException>() => value,
            Some(value) => kind.call1((value,))?,
            None if kind.is_instance_of::<pyo3::types::PyType>() => kind.call0()?,
            None => kind,
        };
        Err(PyErr::from_value(exception))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let state = match self.0.try_lock() {
            Some(mut state) => std::mem::replace(&mut *state, State::Over),
            None => return Ok(()),
        };
        match state {
            State::Flying(flight) => flight.cancel(py)?,
            _ => return Ok(()),
        }
        listeners::deliver_own(py, false).map(drop)
    }
}
