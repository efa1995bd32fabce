//! Leaving the GIL and coming back: all of the crate does both here.

use std::cell::Cell;

use pyo3::marker::Ungil;
use pyo3::prelude::*;

use super::exit;

/// Does `work` without the GIL. If the interpreter ends meanwhile, this does not return.
pub fn detach<T: Ungil>(py: Python<'_>, work: impl Ungil + FnOnce() -> T) -> T {
    if exit::has_begun() {
        ENDS_THE_INTERPRETER.set(true);
    }
    #[allow(clippy::disallowed_methods, reason = "its home")]
    py.detach(work)
}

/// Does `work` with the GIL, on one of Python's threads that may have let go of it. If the interpreter
/// ends meanwhile or has ended, this does not return; so the control thread never calls it.
pub fn attach<T>(work: impl FnOnce(Python<'_>) -> T) -> T {
    if exit::has_begun() && !ENDS_THE_INTERPRETER.get() {
        exit::park();
    }
    // SAFETY: this thread has a thread state of the interpreter's, and the interpreter does not end
    // before this thread, unless that is stopped while it waits for the GIL.
    unsafe { Python::attach_unchecked(work) }
}

thread_local! {
    /// The one thread that still has the GIL then. It may go on using clients, in a `__del__` say.
    static ENDS_THE_INTERPRETER: Cell<bool> = const { Cell::new(false) };
}
