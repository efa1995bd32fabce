//! Values made once, under the GIL.
//!
//! pyo3's own cell lets go of the GIL while it marks itself as being made. A fork in that moment
//! leaves a child whose first look waits for a thread that does not exist there; it was seen. Here
//! two threads may make the value at the same time, and the first one wins. (A build without the
//! GIL will need another answer; until then the module asks for it.)

use std::sync::OnceLock;

use pyo3::prelude::*;

pub struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    pub const fn new() -> Once<T> {
        Once(OnceLock::new())
    }

    pub fn get_or_try_init(
        &self,
        _py: Python<'_>,
        make: impl FnOnce() -> PyResult<T>,
    ) -> PyResult<&T> {
        if let Some(made) = self.0.get() {
            return Ok(made);
        }
        let value = make()?;
        Ok(self.0.get_or_init(|| value))
    }
}

pub(crate) use super::names::name;
