//! `_core.GridUpload`: the chunks of a file that is written to GridFS.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use super::object_ids;
use super::pending::PyPending;
use super::scope::PyScope;
use super::session::PySession;
use super::task::{Step, task};
use crate::exec::operation::CommandKind;
use crate::ops::bulk::limits::BatchLimits;
use crate::ops::gridfs::cutter::Limits;
use crate::ops::gridfs::upload::{self, Failure, MostGathered, Sending, Upload};
use crate::sync::Mutex;

#[pyclass(name = "GridUpload", module = "ferromongo._core", frozen)]
pub struct PyGridUpload {
    scope: Py<PyScope>,
    upload: Arc<Mutex<Upload>>,
    /// Raises for an insert that was refused.
    refused: Py<PyAny>,
}

#[pymethods]
impl PyGridUpload {
    #[new]
    fn new(
        scope: Py<PyScope>,
        collection: &str,
        file: &Bound<'_, PyAny>,
        chunk_size: usize,
        is_new: bool,
        refused: Py<PyAny>,
    ) -> PyResult<PyGridUpload> {
        let element = scope.get().documents.elements(file)?;
        let buffers = scope.get().core().sent_buffers.clone();
        let upload = Upload::new(collection, element, chunk_size, is_new, buffers);
        let upload = Arc::new(Mutex::new(upload));
        Ok(PyGridUpload { scope, upload, refused })
    }

    #[getter]
    fn wanted(&self) -> usize {
        self.upload.lock().cutter().wanted()
    }

    #[getter]
    fn has_begun(&self) -> bool {
        self.upload.lock().cutter().has_begun()
    }

    #[getter]
    fn is_stored(&self) -> bool {
        self.upload.lock().is_stored()
    }

    #[getter]
    fn length(&self) -> u64 {
        self.upload.lock().cutter().length()
    }

    fn write(
        &self,
        py: Python<'_>,
        data: PyBackedBytes,
        session: Option<&PySession>,
        most_bytes: usize,
        most_chunks: usize,
    ) -> PyResult<Option<PyPending>> {
        let most = MostGathered::new(most_bytes, most_chunks);
        let limits = self.limits(most);
        let begun = self.upload.lock().cutter().begins(data.len());
        let mut ids = object_ids::reserve(py, begun)?;
        if self.upload.lock().gather(&data, &mut ids, most, &limits) {
            return Ok(None);
        }
        let (sending, upload) = (self.sending(py, session, limits)?, self.upload.clone());
        let work = async move {
            let sent = upload::send(&upload, &sending, &data, &mut ids).await;
            // Back to where the GIL is held.
            (sent, data)
        };
        Ok(Some(self.pending(py, work)))
    }

    fn finish(
        &self,
        py: Python<'_>,
        session: Option<&PySession>,
        most_bytes: usize,
        most_chunks: usize,
    ) -> PyResult<Option<PyPending>> {
        if !self.upload.lock().finish() {
            return Ok(None);
        }
        let limits = self.limits(MostGathered::new(most_bytes, most_chunks));
        let (sending, upload) = (self.sending(py, session, limits)?, self.upload.clone());
        let mut ids = object_ids::reserve(py, 0)?;
        let work = async move { (upload::send(&upload, &sending, &[], &mut ids).await, ()) };
        Ok(Some(self.pending(py, work)))
    }

    fn give_up(&self, py: Python<'_>, session: Option<&PySession>) -> PyResult<Option<PyPending>> {
        if !self.upload.lock().give_up() {
            return Ok(None);
        }
        let limits = self.limits(MostGathered::new(usize::MAX, usize::MAX));
        let (sending, upload) = (self.sending(py, session, limits)?, self.upload.clone());
        let work = async move { (upload::settle(&upload, &sending).await, ()) };
        Ok(Some(self.pending(py, work)))
    }
}

impl PyGridUpload {
    fn limits(&self, most: MostGathered) -> Limits {
        let core = self.scope.get().core();
        let snapshot = core.opened().map(|cluster| cluster.snapshot());
        let server = snapshot.as_ref().and_then(|snapshot| {
            snapshot.known_servers().find(|server| server.kind.is_writable()).map(BatchLimits::of)
        });
        most.limits(server.unwrap_or_default())
    }

    fn sending(
        &self,
        py: Python<'_>,
        session: Option<&PySession>,
        limits: Limits,
    ) -> PyResult<Sending> {
        let scope = self.scope.get();
        let client = scope.core();
        let terms = scope.terms(py, &client, CommandKind::Write { retry: true }, session, None)?;
        Ok(Sending { client, terms, limits })
    }

    fn pending<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl Future<Output = (Result<(), Failure>, T)> + Send + 'static,
    ) -> PyPending {
        let documents = self.scope.get().documents.clone();
        let refused = self.refused.clone_ref(py);
        PyPending::new(task(work, move |py: Python<'_>, (sent, _)| {
            let reply = match sent {
                Ok(()) => return Ok(Step::Done(py.None())),
                Err(Failure::Failed(error)) => return Err(documents.exception(py, &error)),
                Err(Failure::Exists) => py.None().into_bound(py),
                Err(Failure::Refused(reply)) => documents.servers(py, &reply)?,
            };
            refused.bind(py).call1((reply,)).map(|nothing| Step::Done(nothing.unbind()))
        }))
    }
}
