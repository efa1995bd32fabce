//! `_core.SeedLookup`: how Python, which looks up the records of `mongodb+srv://`, answers the engine.

use pyo3::prelude::*;

use super::client::read_settings;
use super::imports;
use crate::error::{Error, ErrorKind, Result as CoreResult};
use crate::exec::seed_lookup::Answer;
use crate::settings::Settings;
use crate::sync::Mutex;

#[pyclass(name = "SeedLookup", module = "ferromongo._core", frozen)]
pub struct PySeedLookup(Mutex<Option<Answer>>);

/// `look_up(SeedLookup)` is called in the middle of an operation and must not block.
pub fn start(look_up: &Bound<'_, PyAny>, answer: Answer) -> PyResult<()> {
    let lookup = Bound::new(look_up.py(), PySeedLookup(Mutex::new(Some(answer))))?;
    match look_up.call1((&lookup,)) {
        Ok(_) => Ok(()),
        Err(error) => lookup.get().give(Err(of_python(look_up.py(), &error))),
    }
}

impl PySeedLookup {
    fn give(&self, result: CoreResult<Settings>) -> PyResult<()> {
        let answer = self.0.lock().take();
        if let Some(answer) = answer {
            answer.give(result);
        }
        Ok(())
    }
}

#[pymethods]
impl PySeedLookup {
    fn found(&self, py: Python<'_>, settings: &Bound<'_, PyAny>) -> PyResult<()> {
        let settings = read_settings(settings);
        self.give(settings.map_err(|error| of_python(py, &error)))
    }

    fn failed(&self, error: &Bound<'_, PyAny>) -> PyResult<()> {
        self.give(Err(of_python(error.py(), &PyErr::from_value(error.clone()))))
    }
}

/// Several operations may wait for one look-up: each raises an exception of its own.
fn of_python(py: Python<'_>, error: &PyErr) -> Error {
    let invalid = imports::INVALID_URI.class(py).is_ok_and(|class| error.is_instance(py, class));
    let kind = if invalid { ErrorKind::InvalidUri } else { ErrorKind::Configuration };
    Error::new(kind, error.value(py).to_string())
}
