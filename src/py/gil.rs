//! Leaving the GIL and coming back: all of the crate does both here.
//!
//! A thread that takes the GIL after finalization has begun is stopped (`exit.rs`), except for the one
//! that finalizes the interpreter: it still runs Python code, which may use clients, until the end.

use std::cell::Cell;
use std::ptr::null_mut;

use pyo3::ffi::{self, PyThreadState};
use pyo3::marker::Ungil;
use pyo3::prelude::*;

use crate::event::own;
use crate::net::wait;

/// Does `work` without the GIL.
#[allow(clippy::disallowed_methods, reason = "its home")]
pub fn detach<T: Ungil>(py: Python<'_>, work: impl Ungil + FnOnce() -> T) -> T {
    // SAFETY: the GIL is held, so this thread has a current thread state.
    let _inside = Noted::new(unsafe { ffi::PyThreadState_Get() });
    py.detach(work)
}

/// Does `work` with the GIL, within a `detach` or not. The control thread, which has never had the GIL,
/// must not call it.
pub fn attach<T>(work: impl FnOnce(Python<'_>) -> T) -> T {
    let left = LEFT.get();
    let _inside = Noted::new(null_mut());
    let _borrowed = match left.is_null() {
        true => {
            // SAFETY: asks about this thread only.
            let has_it = unsafe { ffi::PyGILState_Check() } == 1;
            assert!(has_it, "a thread that never had the GIL");
            None
        }
        false => Some(Borrowed::new(left)),
    };
    // The work may let other greenlets of this thread run.
    let own = own::current();
    // SAFETY: the GIL is held: it was not left, or has just been taken again.
    let done = wait::aside(|| unsafe { Python::attach_unchecked(work) });
    own::resume(own);
    done
}

thread_local! {
    /// What this thread had when it left the GIL; null while it has that.
    static LEFT: Cell<*mut PyThreadState> = const { Cell::new(null_mut()) };
}

struct Noted(*mut PyThreadState);

impl Noted {
    fn new(state: *mut PyThreadState) -> Noted {
        Noted(LEFT.replace(state))
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

/// The GIL within a `detach`. By the thread's own state and not by `PyGILState_Ensure`, which finds none
/// late in finalization and makes one of what is left of the interpreter.
struct Borrowed;

impl Borrowed {
    fn new(state: *mut PyThreadState) -> Borrowed {
        // SAFETY: this thread's own state, which it left in the `detach` around this. If the interpreter has
        // begun to end, only the thread that ends it gets past here, and the state is not looked at otherwise.
        unsafe { ffi::PyEval_RestoreThread(state) };
        Borrowed
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: this thread has the GIL since `new`.
        unsafe { ffi::PyEval_SaveThread() };
    }
}
