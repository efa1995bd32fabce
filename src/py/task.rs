//! What a pending call does: a future that carries bytes and a `finish` that turns its result into Python objects.
//!
//! The future is polled without the GIL (blocking driver) or within the awaiting task's own step
//! (event loop driver); `finish` always runs with the GIL, and may hand over a further task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pyo3::prelude::*;

use super::errors;
use crate::error::Error;
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
