//! `_core.Journal`: the transaction log of clients.

use std::path::PathBuf;
use std::sync::Arc;

use bson::RawDocument;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::client::PyClient;
use super::errors;
use crate::error::Result as CoreResult;
use crate::journal::entry::{Entry, Failure, Outcome};
use crate::journal::log::{self, Journal, LogSettings};
use crate::ops::log_collection::LogCollection;

#[pyclass(name = "Journal", module = "ferromongo._core", frozen, weakref)]
pub struct PyJournal {
    pub journal: Arc<Journal>,
}

#[pymethods]
impl PyJournal {
    /// Opens the file, or keeps entries in memory alone.
    #[new]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        capacity: usize,
        max_bytes: Option<u64>,
        full: bool,
        marker: Option<String>,
    ) -> PyResult<PyJournal> {
        let settings = LogSettings { capacity, full, marker };
        let journal = match path {
            None => Journal::in_memory(settings),
            Some(path) => {
                let opened = py.detach(|| Journal::in_file(&path, max_bytes, settings));
                raised(py, opened)?
            }
        };
        Ok(PyJournal { journal })
    }

    /// Keeps them in a collection of any client, beside memory.
    #[staticmethod]
    fn of_collection(
        client: &Bound<'_, PyClient>,
        database: &str,
        collection: &str,
        capacity: usize,
        full: bool,
        marker: Option<String>,
    ) -> PyJournal {
        let settings = LogSettings { capacity, full, marker };
        let client = client.get().core();
        let (database, collection) = (database.into(), collection.into());
        let keeper = LogCollection { client, database, collection };
        PyJournal { journal: Journal::kept_by(Arc::new(keeper), settings) }
    }

    fn entries<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.journal.entries().iter().map(|entry| PyBytes::new(py, entry)).collect()
    }

    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Vec<Bound<'_, PyBytes>>> {
        let read = py.detach(|| log::read_file(&path));
        Ok(raised(py, read)?.iter().map(|entry| PyBytes::new(py, entry)).collect())
    }

    fn resolve(
        &self,
        py: Python<'_>,
        entry: &[u8],
        outcome: &str,
        error: Option<&[u8]>,
    ) -> PyResult<()> {
        let outcome = Outcome::named(outcome)
            .ok_or_else(|| PyValueError::new_err(format!("no outcome is called {outcome:?}")))?;
        let entry = document(entry)?;
        let error = error.map(document).transpose()?.and_then(Failure::read);
        let noted = py.detach(|| self.journal.resolve(entry, outcome, error));
        raised(py, noted)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = py.detach(|| self.journal.close());
        raised(py, closed)
    }
}

pub fn entry(bytes: &[u8]) -> PyResult<Entry> {
    let named_none = || PyValueError::new_err("the entry names no transaction");
    Entry::read(document(bytes)?).ok_or_else(named_none)
}

fn document(bytes: &[u8]) -> PyResult<&RawDocument> {
    RawDocument::from_bytes(bytes).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn raised<T>(py: Python<'_>, result: CoreResult<T>) -> PyResult<T> {
    result.map_err(|error| errors::to_python(py, &error))
}
