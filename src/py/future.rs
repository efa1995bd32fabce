//! A call that goes on by itself: begun where it was made, its result is that of an asyncio Future.
//!
//! This is how Motor's methods behave. No task is made: sockets, gates and the clock step the call directly
//! (`loop_callbacks::wake`), so it takes no more turns of the event loop than a call that is awaited. On a loop that
//! is not the running one it begins when that loop runs.

use pyo3::exceptions::{PyException, PyRuntimeError, PyStopIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::once::name;
use super::pending::{PyPending, State, Stepped};
use super::{callbacks, imports};
use crate::event::own;
use crate::sync::Mutex;

#[pyclass(frozen, module = "ferromongo._core")]
pub struct Started {
    state: Mutex<State>,
    future: Py<PyAny>,
    event_loop: Py<PyAny>,
    /// The caller's: listeners and the user's codecs run in it.
    context: Py<PyAny>,
}

/// Begins the call and returns the Future of its result, which belongs to `event_loop`. Cancelling the Future drops
/// the operation.
#[pyfunction]
pub fn start<'py>(
    pending: &Bound<'py, PyPending>,
    event_loop: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let state = Mutex::new(pending.get().take()?);
    let future = event_loop.call_method0(name!(py, "create_future"))?;
    let context = imports::COPY_CONTEXT.get(py)?.call0()?.unbind();
    let here = imports::RUNNING_LOOP_OR_NONE.get(py)?.call0()?.is(&event_loop);
    let started = Started {
        state,
        future: future.clone().unbind(),
        event_loop: event_loop.clone().unbind(),
        context,
    };
    let started = Bound::new(py, started)?;
    if here {
        Started::step(&started, None)?;
    } else {
        let step = started.getattr(name!(py, "step"))?;
        event_loop.call_method1(name!(py, "call_soon_threadsafe"), (step,))?;
    }
    if !future.call_method0(name!(py, "done"))?.is_truthy()? {
        future.call_method1(name!(py, "add_done_callback"), (&started,))?;
    }
    Ok(future)
}

#[pymethods]
impl Started {
    /// The Future was cancelled: its done callback, which is taken back when the call ends by itself.
    fn __call__(&self, py: Python<'_>, _future: &Bound<'_, PyAny>) -> PyResult<()> {
        self.drop_operation(py)
    }

    /// Goes on until the call waits for something, or ends.
    #[pyo3(signature = (_waited = None))]
    fn step(slf: &Bound<'_, Self>, _waited: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let Some(mut state) = this.state.try_lock() else { return Ok(()) };
        if matches!(*state, State::Over) || this.is_done(py)? {
            return Ok(());
        }
        let _own = own::Collecting::begin();
        let result = match this.advance(slf, &mut state) {
            Ok(None) => return Ok(()),
            Ok(Some(value)) => Ok(value),
            Err(error) => Err(error),
        };
        let ended = std::mem::replace(&mut *state, State::Over);
        drop(state);
        drop(ended);
        let delivered = callbacks::run(py, result.as_ref().err()); // what was cut short
        this.settle(slf, delivered.and(result))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.future)?;
        visit.call(&self.event_loop)?;
        visit.call(&self.context)
    }
}

impl Started {
    pub fn drop_operation(&self, py: Python<'_>) -> PyResult<()> {
        let taken = self.state.try_lock().map(|mut it| std::mem::replace(&mut *it, State::Over));
        let Some(state @ (State::Flying(_) | State::Elsewhere(_))) = taken else { return Ok(()) };
        let cancelled = PyErr::from_value(imports::CANCELLED_ERROR.get(py)?.call0()?);
        state.cut_short(py, &cancelled)
    }

    /// What it waited for is there.
    pub fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let step = slf.getattr(name!(py, "step"))?;
        slf.get().context.call_method1(py, name!(py, "run"), (step,)).map(drop)
    }

    /// The same in the loop's next turn.
    pub fn wake_later(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let run = slf.get().context.getattr(py, name!(py, "run"))?;
        let step = slf.getattr(name!(py, "step"))?;
        slf.get().event_loop.call_method1(py, name!(py, "call_soon"), (run, step)).map(drop)
    }

    fn is_done(&self, py: Python<'_>) -> PyResult<bool> {
        self.future.call_method0(py, name!(py, "done"))?.is_truthy(py)
    }

    /// The result, or `None` if it waits.
    fn advance(&self, slf: &Bound<'_, Self>, state: &mut State) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        state.begin_once(py)?;
        match state.step(py)? {
            Stepped::Done(value) => return Ok(Some(value)),
            Stepped::Waits if state.is_pausing() => Started::wake_later(slf)?,
            Stepped::Waits => state.arm(self.event_loop.bind(py), slf.as_any())?,
            Stepped::Yields(waited) => {
                let waited = waited.bind(py);
                waited.setattr(name!(py, "_asyncio_future_blocking"), false)?;
                let step = slf.getattr(name!(py, "step"))?;
                waited.call_method1(name!(py, "add_done_callback"), (step,))?;
            }
        }
        Ok(None)
    }

    fn settle(&self, slf: &Bound<'_, Self>, result: PyResult<Py<PyAny>>) -> PyResult<()> {
        let py = slf.py();
        if self.is_done(py)? {
            return Ok(()); // a listener cancelled it
        }
        let future = self.future.bind(py);
        future.call_method1(name!(py, "remove_done_callback"), (slf,))?;
        let error = match result {
            Ok(value) => {
                return future.call_method1(name!(py, "set_result"), (value,)).map(drop);
            }
            // Which a Future refuses.
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                let instead = PyRuntimeError::new_err("an operation raised StopIteration");
                instead.set_cause(py, Some(error));
                instead
            }
            Err(error) => error,
        };
        future.call_method1(name!(py, "set_exception"), (error.value(py),))?;
        // As a task: KeyboardInterrupt and SystemExit end the loop, too.
        if error.is_instance_of::<PyException>(py) || is_cancellation(py, &error)? {
            Ok(())
        } else {
            Err(error)
        }
    }
}

fn is_cancellation(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    Ok(error.matches(py, imports::CANCELLED_ERROR.get(py)?)?)
}
