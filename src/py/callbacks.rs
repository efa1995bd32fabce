//! The user's code that runs in the middle of an operation: listeners, and what answers the engine's questions.

use std::sync::Arc;

use pyo3::prelude::*;

use super::listeners;
use crate::error::Error;
use crate::event::own;
use crate::event::question::Callback;

type Call = Box<dyn FnOnce(Python<'_>) + Send>;

/// `call` is given `callable` and answers; what it raises reaches the caller of the operation as it is.
pub fn callback<Q: Send + 'static, A: Send + 'static>(
    callable: Py<PyAny>,
    call: fn(&Bound<'_, PyAny>, Q) -> PyResult<A>,
) -> Callback<Q, A> {
    let callable = Arc::new(callable);
    Callback::new(move |about, answer| {
        let callable = callable.clone();
        let call: Call = Box::new(move |py| {
            let answered = call(callable.bind(py), about);
            // The operation may have been forked off, or be over.
            let _ = answer.send(answered.map_err(|raised| Error::callback(Arc::new(raised))));
        });
        Box::new(call)
    })
}

/// What `run` has called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    Nothing,
    Listeners,
    /// A question was answered: the future can continue.
    Answers,
}

/// Delivers what this thread's operation has done, and answers its questions: to be called while it waits and
/// before its result is returned. `because` is what cut the operation short, if something did: then it asks
/// nothing any more. Exceptions of listeners are printed. KeyboardInterrupt and the like are raised, after all
/// events were delivered; RecursionError and MemoryError at once.
pub fn run(py: Python<'_>, because: Option<&PyErr>) -> PyResult<Ran> {
    if own::is_empty() {
        return Ok(Ran::Nothing);
    }
    let (events, questions) = own::take();
    listeners::deliver(py, events, because)?;
    if because.is_some() || questions.is_empty() {
        return Ok(Ran::Listeners);
    }
    for question in questions {
        let Ok(call) = question.downcast::<Call>() else {
            unreachable!("only `callback` makes questions")
        };
        let own = own::current();
        call(py);
        own::resume(own); // other greenlets may have run
    }
    Ok(Ran::Answers)
}
