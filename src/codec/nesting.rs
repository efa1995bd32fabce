//! Documents within documents: how deep the encoder and the decoder may go. Python's own recursion limit counts,
//! and a cap keeps the native stack safe where that limit was raised.

use std::ffi::CStr;
use std::marker::PhantomData;

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;

use super::errors::{Raised, raise_text};
use super::object;
use crate::stack;

pub trait Nesting<'py> {
    fn py(&self) -> Python<'py>;

    /// How many levels are open.
    fn depth(&mut self) -> &mut u32;

    /// Run `inside` one level down. Python's error, if its own limit is reached, ends in `what`.
    #[inline(always)]
    fn nested<T>(
        &mut self,
        what: &'static CStr,
        inside: impl FnOnce(&mut Self) -> Result<T, Raised>,
    ) -> Result<T, Raised> {
        let _level = Level::enter(self.py(), *self.depth() + 1, what)?;
        *self.depth() += 1;
        let done = inside(self);
        *self.depth() -= 1;
        done
    }
}

/// One level of Python's count of recursive calls. It is left on the way out of a panic, too.
struct Level {
    /// Made by `enter` only, dropped on the same thread.
    _entered: PhantomData<*const ()>,
}

impl Level {
    #[inline]
    fn enter(py: Python<'_>, depth: u32, what: &'static CStr) -> Result<Level, Raised> {
        if depth > DEEPEST || stack::left() < LEAST_STACK {
            let class = py.get_type::<PyRecursionError>();
            return Err(raise_text(class.as_any(), "document nested too deeply"));
        }
        object::enter_recursive_call(py, what)?;
        Ok(Level { _entered: PhantomData })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        // SAFETY: made by a successful `enter`, on this thread; the codec holds the GIL throughout.
        unsafe { object::leave_recursive_call() };
    }
}

/// MongoDB itself takes 100 levels. A level costs about 450 bytes of stack here, and threads may have half a megabyte.
const DEEPEST: u32 = 1000;
/// For one more level and what it may call. Threads may have less than half a megabyte, too.
const LEAST_STACK: usize = 8 * 1024;
