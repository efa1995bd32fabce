//! `insert`, batch by batch: encode one against the server's limits, send it, add up the replies.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::object_ids;
use super::once::name;
use super::pending::{Step, task};
use super::scope::{decode_reply, run_owned};
use super::{errors, imports};
use crate::codec::{self, CodecSettings};
use crate::error::Result as CoreResult;
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome, Terms};
use crate::ops::crud::insert::BatchLimits;
use crate::wire::message::Message;

pub struct Insertion {
    codec: Arc<CodecSettings>,
    core: Arc<ClientCore>,
    terms: Terms,
    command: Py<PyAny>,
    documents: Py<PyList>,
    ordered: bool,
    acknowledged: bool,
    then: Py<PyAny>,
    /// How many documents were sent.
    sent: usize,
    ids: Vec<Py<PyAny>>,
    inserted: i64,
    write_errors: Vec<Py<PyAny>>,
    write_concern_errors: Vec<Py<PyAny>>,
}

impl Insertion {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        codec: Arc<CodecSettings>,
        core: Arc<ClientCore>,
        mut terms: Terms,
        command: Py<PyAny>,
        documents: Py<PyList>,
        acknowledged: bool,
        then: Py<PyAny>,
    ) -> Insertion {
        terms.number_for(&core.settings.events); // one number for all batches
        Insertion {
            codec,
            core,
            terms,
            command,
            documents,
            ordered: true,
            acknowledged,
            then,
            sent: 0,
            ids: Vec::new(),
            inserted: 0,
            write_errors: Vec::new(),
            write_concern_errors: Vec::new(),
        }
    }

    /// The next batch as a task, or the result when there is nothing more to send.
    pub fn next(mut self, py: Python<'_>) -> PyResult<Step> {
        let documents = self.documents.clone_ref(py).into_bound(py);
        let stop = self.ordered && !self.write_errors.is_empty();
        if stop || (self.sent > 0 && self.sent >= documents.len()) {
            return self.result(py);
        }
        if self.sent == 0 {
            let ordered = self.command.bind(py).get_item(name!(py, "ordered"));
            self.ordered = ordered.map_or(Ok(true), |ordered| ordered.is_truthy())?;
            // All of them get one, also those that an error then keeps from being sent.
            self.ids = documents
                .iter()
                .map(|document| codec::ensure_id(&document, &self.codec, object_ids::generate))
                .collect::<PyResult<_>>()?;
        }
        let first = self.sent;
        let batch = self.encode_batch(&documents)?;
        let command = self.command.bind(py);
        let mut message =
            Message::new(|out| codec::encode_document(command, &self.codec, false, out))?
                .with_sequence("documents", batch);
        if !self.acknowledged {
            message = message.without_reply();
        }
        let terms = Terms { transaction_number: None, ..self.terms.clone() };
        let core = self.core.clone();
        let finish = move |py: Python<'_>, outcome| {
            self.note(py, outcome, first)?;
            self.next(py)
        };
        Ok(Step::Again(task(run_owned(core, Operation { message, terms }), finish)))
    }

    /// The documents that fit into one message; `sent` moves behind them.
    fn encode_batch(&mut self, documents: &Bound<'_, PyList>) -> PyResult<Vec<u8>> {
        let limits = self.limits();
        let mut bytes = Vec::new();
        let mut count = 0;
        while let Ok(document) = documents.get_item(self.sent + count) {
            let start = bytes.len();
            codec::encode_document(&document, &self.codec, false, &mut bytes)?;
            let size = bytes.len() - start;
            if size > limits.document_bytes {
                let text = format!(
                    "BSON document too large ({size} bytes) - the connected server supports BSON document sizes up to {} bytes.",
                    limits.document_bytes
                );
                let class = imports::DOCUMENT_TOO_LARGE.get(document.py())?;
                return Err(PyErr::from_value(class.call1((text,))?));
            }
            if !limits.fits(count, start, size) {
                bytes.truncate(start);
                break;
            }
            count += 1;
        }
        self.sent += count;
        Ok(bytes)
    }

    fn limits(&self) -> BatchLimits {
        let Some(cluster) = self.core.opened() else { return BatchLimits::default() };
        let snapshot = cluster.snapshot();
        let writable = snapshot.known_servers().find(|server| server.kind.is_writable());
        writable.map_or_else(BatchLimits::default, BatchLimits::of)
    }

    /// Adds one batch's reply, with indexes counted from the caller's first document.
    fn note(&mut self, py: Python<'_>, outcome: CoreResult<Outcome>, first: usize) -> PyResult<()> {
        let reply = match outcome {
            // A retry did not cure it: what was written is told all the same.
            Err(error) if error.is_write_concern() => match error.reply() {
                Some(reply) => errors::decode_reply(py, reply)?,
                None => return Err(errors::to_python(py, &error)),
            },
            outcome => decode_reply(py, outcome, &self.codec)?,
        };
        self.note_reply(&reply, first).map_err(|error| errors::malformed_reply(py, error))
    }

    fn note_reply(&mut self, reply: &Bound<'_, PyAny>, first: usize) -> PyResult<()> {
        let py = reply.py();
        let field = |name: &str| reply.call_method1(name!(py, "get"), (name,));
        self.inserted += field("n")?.extract::<Option<i64>>()?.unwrap_or(0);
        let errors = field("writeErrors")?;
        if !errors.is_none() {
            for error in errors.try_iter()? {
                let error = error?;
                let index: usize = error.get_item("index")?.extract()?;
                error.set_item("index", index + first)?;
                self.write_errors.push(error.unbind());
            }
        }
        let concern = field("writeConcernError")?;
        if concern.is_truthy()? {
            // The server puts the labels beside it; with several batches they belong into it.
            let labels = field("errorLabels")?;
            if labels.is_truthy()? {
                concern.set_item(name!(py, "errorLabels"), labels)?;
            }
            self.write_concern_errors.push(concern.unbind());
        }
        Ok(())
    }

    fn result(self, py: Python<'_>) -> PyResult<Step> {
        let reply = PyDict::new(py);
        reply.set_item("n", self.inserted)?;
        reply.set_item("writeErrors", PyList::new(py, self.write_errors)?)?;
        reply.set_item("writeConcernErrors", PyList::new(py, self.write_concern_errors)?)?;
        let ids = PyList::new(py, self.ids)?;
        Ok(Step::Done(self.then.bind(py).call1((reply, ids))?.unbind()))
    }
}
