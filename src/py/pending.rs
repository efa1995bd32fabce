//! A call that has not been sent. Blocked on with `run` or awaited: the same task either way.
//!
//! Nothing happens before the first step: a call that is dropped or closed before has not been made.

use std::future::poll_fn;
use std::task::{Context, Poll};

use pyo3::exceptions::{PyGeneratorExit, PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;

use super::callbacks::{self, Ran};
use super::loop_driver::Flight;
use super::task::{Step, Task};
use super::thread_driver::Errand;
use super::{hub_driver, loggers};
use crate::event::own;
use crate::net::blocking::{self, Pause};
use crate::sync::Mutex;

#[pyclass(name = "Pending", module = "ferromongo._core", frozen, generic)]
pub struct PyPending(Mutex<State>);

type Start = Box<dyn FnOnce(Python<'_>) -> PyResult<Step> + Send>;

pub enum State {
    /// Not started: what the first step does.
    Waiting(Start),
    Built(Box<dyn Task>),
    /// Nothing needs to be sent.
    Known(PyResult<Py<PyAny>>),
    Flying(Flight),
    /// In a thread of an event loop that cannot watch sockets.
    Elsewhere(Errand),
    Over,
}

impl PyPending {
    pub fn new(task: Box<dyn Task>) -> PyPending {
        PyPending(Mutex::new(State::Built(task)))
    }

    pub fn known(result: PyResult<Py<PyAny>>) -> PyPending {
        PyPending(Mutex::new(State::Known(result)))
    }

    /// For calls that change something before they send: `start` is called in the first step.
    pub fn later(start: impl FnOnce(Python<'_>) -> PyResult<Step> + Send + 'static) -> PyPending {
        PyPending(Mutex::new(State::Waiting(Box::new(start))))
    }
}

fn only_once() -> PyErr {
    PyRuntimeError::new_err("a pending call can be run or awaited only once")
}

impl State {
    /// Takes a call that has not begun to where it waits on the running event loop.
    fn begin(self, py: Python<'_>) -> PyResult<State> {
        let task = match self {
            State::Waiting(start) => match start(py)? {
                Step::Done(value) => return Ok(State::Known(Ok(value))),
                Step::Again(task) | Step::Pause(task) => task,
            },
            State::Built(task) => task,
            begun => return Ok(begun),
        };
        loggers::look(py)?;
        match Flight::new(py, task)? {
            Ok(flight) => Ok(State::Flying(flight)),
            Err((event_loop, task)) => Errand::new(&event_loop, task).map(State::Elsewhere),
        }
    }

    pub fn begin_once(&mut self, py: Python<'_>) -> PyResult<()> {
        if matches!(self, State::Waiting(_) | State::Built(_)) {
            *self = std::mem::replace(self, State::Over).begin(py)?;
        }
        Ok(())
    }

    pub fn step(&mut self, py: Python<'_>) -> PyResult<Stepped> {
        match self {
            State::Flying(flight) => loop {
                let step = flight.step(py);
                let ran = callbacks::run(py, step.as_ref().err())?;
                match step? {
                    Poll::Pending if ran == Ran::Answers => {}
                    Poll::Pending => return Ok(Stepped::Waits),
                    Poll::Ready(value) => return Ok(Stepped::Done(value)),
                }
            },
            State::Elsewhere(errand) => errand.step(py),
            State::Known(_) => match std::mem::replace(self, State::Over) {
                State::Known(result) => result.map(Stepped::Done),
                _ => unreachable!("matched above"),
            },
            State::Waiting(_) | State::Built(_) | State::Over => Err(only_once()),
        }
    }

    /// After `Stepped::Waits`: what the awaiting task passes to its loop.
    fn suspended(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            State::Flying(flight) => flight.suspended(py),
            _ => unreachable!("only a flight waits"),
        }
    }

    /// After `Stepped::Waits`: whether it only lets others run.
    pub fn is_pausing(&mut self) -> bool {
        match self {
            State::Flying(flight) => flight.takes_pause(),
            _ => false,
        }
    }

    /// After `Stepped::Waits`, if it is not pausing: has `sleeper` woken when what it waits for is there.
    pub fn arm(
        &mut self,
        event_loop: &Bound<'_, PyAny>,
        sleeper: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        match self {
            State::Flying(flight) => flight.arm(event_loop, sleeper),
            _ => unreachable!("only a flight waits"),
        }
    }

    /// Drops the operation and delivers its last events.
    pub fn cut_short(self, py: Python<'_>, because: &PyErr) -> PyResult<()> {
        let _own = own::Collecting::begin();
        match self {
            State::Flying(flight) => flight.cancel(py)?,
            State::Elsewhere(errand) => errand.give_up(),
            _ => return Ok(()), // dropped
        }
        callbacks::run(py, Some(because)).map(drop)
    }
}

pub enum Stepped {
    /// The awaiting task passes this to its loop.
    Yields(Py<PyAny>),
    /// `suspended` or `arm` is to be called: the flight knows what it waits for.
    Waits,
    Done(Py<PyAny>),
}

/// Blocks this thread until the task and those that follow it are done. Ctrl-C is answered.
pub fn run_blocking(py: Python<'_>, task: Box<dyn Task>) -> PyResult<Py<PyAny>> {
    loggers::look(py)?;
    let _own = own::Collecting::begin();
    let result = run_to_the_end(py, task);
    callbacks::run(py, result.as_ref().err())?;
    result
}

fn run_to_the_end(py: Python<'_>, mut task: Box<dyn Task>) -> PyResult<Py<PyAny>> {
    let own = own::current();
    loop {
        // An exception drops the task, which closes the connection that is in mid-flight.
        if !poll_blocking(py, |context| task.poll(context), None)? {
            unreachable!("only an exception interrupts");
        }
        let step = task.finish(py);
        own::resume(own);
        match step? {
            Step::Done(value) => return Ok(value),
            Step::Again(next) | Step::Pause(next) => task = next,
        }
    }
}

/// Polls a task until it can be finished, and delivers its events. False if it was given up before.
pub fn poll_blocking(
    py: Python<'_>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<()> + Send,
    given_up: Option<&dyn Fn() -> bool>,
) -> PyResult<bool> {
    if let Some(waits) = hub_driver::here(py)? {
        let work = std::pin::pin!(poll_fn(|context| poll(context)));
        return Ok(hub_driver::run(&waits, work, given_up)?.is_some());
    }
    loop {
        let done = py.detach(|| {
            let work = std::pin::pin!(poll_fn(|context| poll(context)));
            blocking::run(work, |pause| pause == Pause::Within || !own::is_empty())
        });
        // Before the wait, and before the result is taken in: Ctrl-C in a listener must not lose a change
        // of a stream.
        let ran = callbacks::run(py, None)?;
        if done.is_some() {
            return Ok(true);
        }
        if ran == Ran::Nothing {
            py.check_signals()?;
            if given_up.is_some_and(|given_up| given_up()) {
                return Ok(false);
            }
        }
    }
}

#[pymethods]
impl PyPending {
    /// Block until the call is done and answer its result.
    fn run(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.take()? {
            State::Waiting(start) => match start(py)? {
                Step::Done(value) => Ok(value),
                Step::Again(task) | Step::Pause(task) => run_blocking(py, task),
            },
            State::Built(task) => run_blocking(py, task),
            State::Known(result) => result,
            State::Flying(_) | State::Elsewhere(_) | State::Over => Err(only_once()),
        }
    }

    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let begun = slf.get().0.try_lock().is_none_or(|state| {
            matches!(*state, State::Flying(_) | State::Elsewhere(_) | State::Over)
        });
        if begun { Err(only_once()) } else { Ok(slf) }
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// One step of the awaiting task: answers a future to wait for, or raises StopIteration.
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(mut state) = self.0.try_lock() else {
            return Err(PyRuntimeError::new_err("this pending call is already being awaited"));
        };
        let _own = own::Collecting::begin();
        state.begin_once(py)?;
        let result = match state.step(py) {
            Ok(Stepped::Yields(future)) => return Ok(future),
            Ok(Stepped::Waits) => match state.suspended(py) {
                Ok(future) => return Ok(future),
                Err(error) => Err(error),
            },
            Ok(Stepped::Done(value)) => Ok(value),
            Err(error) => Err(error),
        };
        let ended = std::mem::replace(&mut *state, State::Over);
        drop(state);
        drop(ended);
        callbacks::run(py, result.as_ref().err())?; // what was cut short
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
        let exception = match value {
            Some(value) if value.is_instance_of::<pyo3::exceptions::PyBaseException>() => Ok(value),
            Some(value) => kind.call1((value,)),
            None if kind.is_instance_of::<pyo3::types::PyType>() => kind.call0(),
            None => Ok(kind),
        };
        let error = exception.map_or_else(|error| error, PyErr::from_value);
        self.cut_short(py, &error)?;
        Err(error)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.cut_short(py, &PyGeneratorExit::new_err(()))
    }
}

impl PyPending {
    /// The call as it is, for one who carries it out.
    pub fn take(&self) -> PyResult<State> {
        let taken = self.0.try_lock().map(|mut state| std::mem::replace(&mut *state, State::Over));
        match taken {
            Some(state @ (State::Waiting(_) | State::Built(_) | State::Known(_))) => Ok(state),
            Some(State::Flying(_) | State::Elsewhere(_) | State::Over) | None => Err(only_once()),
        }
    }

    fn cut_short(&self, py: Python<'_>, because: &PyErr) -> PyResult<()> {
        match self.0.try_lock().map(|mut state| std::mem::replace(&mut *state, State::Over)) {
            Some(state) => state.cut_short(py, because),
            None => Ok(()),
        }
    }
}
