//! `_core.GridDownload`: the chunks of a file that is read from GridFS.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::blank_bytes::BlankBytes;
use super::pending::PyPending;
use super::scope::PyScope;
use super::session::PySession;
use super::task::{Step, task};
use super::time_limit;
use crate::error::{Error, Result as CoreResult};
use crate::exec::operation::CommandKind;
use crate::net::fork::OfProcess;
use crate::ops::gridfs::download::{Call, Download, Source};
use crate::ops::gridfs::plan::Plan;
use crate::sync::Mutex;

#[pyclass(name = "GridDownload", module = "ferromongo._core", frozen)]
pub struct PyGridDownload {
    scope: Py<PyScope>,
    source: Arc<Source>,
    /// Not here while a call reads, and not in a child of the process that read: then another is made.
    download: Mutex<Option<OfProcess<Download>>>,
}

#[pymethods]
impl PyGridDownload {
    #[new]
    fn new(
        scope: Py<PyScope>,
        collection: &str,
        filter: &Bound<'_, PyAny>,
        length: u64,
        chunk_size: u64,
    ) -> PyResult<PyGridDownload> {
        let filter = scope.get().documents.elements(filter)?;
        let plan = Plan { length, chunk_size };
        let source = Arc::new(Source { plan, collection: collection.to_owned(), filter });
        Ok(PyGridDownload { scope, source, download: Mutex::default() })
    }

    fn opens_at(&self, position: u64) -> bool {
        let download = self.download.lock();
        download
            .as_ref()
            .filter(|download| !download.is_inherited())
            .is_none_or(|download| download.opens_at(position))
    }

    #[pyo3(signature = (position, count, session, goes_to = 0))]
    fn read(
        slf: &Bound<'_, Self>,
        position: u64,
        count: u64,
        session: Option<&PySession>,
        goes_to: u64,
    ) -> PyResult<PyPending> {
        let (this, call) = (slf.clone().unbind(), slf.get().call(slf.py(), session)?);
        Ok(PyPending::later(move |py| {
            let mut sink = BlankBytes::new(py, count)?;
            let mut download = this.get().take();
            let work = async move {
                let read = download.read(&call, position, count, goes_to, &mut sink).await;
                (download, read.map(|()| sink))
            };
            let finish = |read: BlankBytes| read.whole().into_any();
            Ok(this.get().step(this.clone_ref(py), work, move |_, _, read| Ok(finish(read))))
        }))
    }

    fn line(
        slf: &Bound<'_, Self>,
        position: u64,
        most: u64,
        session: Option<&PySession>,
    ) -> PyResult<PyPending> {
        let (this, call) = (slf.clone().unbind(), slf.get().call(slf.py(), session)?);
        Ok(PyPending::later(move |py| {
            let mut download = this.get().take();
            let work = async move {
                let line = download.line(&call, position, most).await;
                (download, line)
            };
            Ok(this.get().step(this.clone_ref(py), work, |py, _, line: Vec<u8>| {
                Ok(PyBytes::new(py, &line).into_any().unbind())
            }))
        }))
    }

    /// `None` if the chunk has to be fetched.
    fn chunk_at_hand(&self, py: Python<'_>, position: u64) -> PyResult<Option<Py<PyAny>>> {
        let Some(mut download) = self.own() else { return Ok(None) };
        // A download that found something wrong begins again, where another one would.
        let found = match self.raised(py, download.has_part(position))? {
            true => Some(part(py, &mut download, position)),
            false => None,
        };
        self.put_back(download);
        Ok(found)
    }

    #[pyo3(signature = (position, session, goes_to = 0))]
    fn chunk(
        slf: &Bound<'_, Self>,
        position: u64,
        session: Option<&PySession>,
        goes_to: u64,
    ) -> PyResult<PyPending> {
        let (this, call) = (slf.clone().unbind(), slf.get().call(slf.py(), session)?);
        Ok(PyPending::later(move |py| {
            if let Some(bytes) = this.get().chunk_at_hand(py, position)? {
                return Ok(Step::Done(bytes));
            }
            let mut download = this.get().take();
            let work = async move {
                let found = download.find_part(&call, position, goes_to).await;
                (download, found)
            };
            let hand_out =
                move |py: Python<'_>, download: &mut Download, ()| Ok(part(py, download, position));
            Ok(this.get().step(this.clone_ref(py), work, hand_out))
        }))
    }

    fn check_end(slf: &Bound<'_, Self>, session: Option<&PySession>) -> PyResult<PyPending> {
        let (this, call) = (slf.clone().unbind(), slf.get().call(slf.py(), session)?);
        Ok(PyPending::later(move |py| {
            let mut download = this.get().take();
            let work = async move {
                let checked = download.check_end(&call).await;
                (download, checked)
            };
            Ok(this.get().step(this.clone_ref(py), work, |py, _, ()| Ok(py.None())))
        }))
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<PyPending> {
        let limit = time_limit::current(slf.py(), &slf.get().scope.get().core().settings)?;
        let this = slf.clone().unbind();
        Ok(PyPending::later(move |py| {
            let Some(download) = this.get().own() else { return Ok(Step::Done(py.None())) };
            let work = download.close(limit);
            Ok(Step::Again(task(work, |py: Python<'_>, ()| Ok(Step::Done(py.None())))))
        }))
    }
}

/// What is left of the chunk there, which is at hand.
fn part(py: Python<'_>, download: &mut Download, position: u64) -> Py<PyAny> {
    let part = download.part(position).unwrap_or_default();
    let (bytes, end) = (PyBytes::new(py, part), position + part.len() as u64);
    download.release(end);
    bytes.into_any().unbind()
}

impl PyGridDownload {
    fn call(&self, py: Python<'_>, session: Option<&PySession>) -> PyResult<Call> {
        let scope = self.scope.get();
        let client = scope.core();
        let terms = scope.terms(py, &client, CommandKind::FIND, session, None)?;
        Ok(Call { client, terms })
    }

    fn take(&self) -> Download {
        self.own().unwrap_or_else(|| Download::new(self.source.clone()))
    }

    fn own(&self) -> Option<Download> {
        let held = self.download.lock().take();
        held.filter(|download| !download.is_inherited()).map(OfProcess::into_inner)
    }

    fn put_back(&self, download: Download) {
        let former = self.download.lock().replace(OfProcess::new(download));
        drop(former); // not under the lock
    }

    fn raised<T>(&self, py: Python<'_>, result: CoreResult<T>) -> PyResult<T> {
        let raise = |error: Error| self.scope.get().documents.exception(py, &error);
        result.map_err(raise)
    }

    /// Goes on with `work`, and gives back what it worked with.
    fn step<T: Send + 'static>(
        &self,
        this: Py<Self>,
        work: impl Future<Output = (Download, CoreResult<T>)> + Send + 'static,
        hand_out: impl FnOnce(Python<'_>, &mut Download, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Step {
        Step::Again(task(work, move |py: Python<'_>, (mut download, result)| {
            let this = this.get();
            let handed =
                this.raised(py, result).and_then(|found| hand_out(py, &mut download, found));
            this.put_back(download);
            handed.map(Step::Done)
        }))
    }
}
