//! `bulkWrite`, the command of MongoDB 8.0 that writes to several collections: batch by batch, each with the
//! cursor of its results. What comes of it is added up in Python, by `note`.

use std::collections::HashMap;
use std::sync::Arc;

use bson::RawDocument;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::bulk::{WIRE_VERSION_OF_8, too_large};
use super::errors;
use super::once::name;
use super::pending::{PyPending, Step, Task, task};
use super::scope::run_owned;
use crate::codec::{self, CodecSettings, Contents};
use crate::error::{Error, Kind as ErrorKind, Result as CoreResult};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Outcome, Terms};
use crate::exec::run::destination;
use crate::ops::bulk::limits::BatchLimits;
use crate::ops::cursor::batch::Batch;
use crate::ops::cursor::close::{self, Held};
use crate::ops::cursor::get_more;
use crate::topology::server::{ServerDescription, ServerType};
use crate::wire::message::Message;

pub struct ClientBulk {
    pub codec: Arc<CodecSettings>,
    pub core: Arc<ClientCore>,
    pub terms: Terms,
    pub command: Py<PyDict>,
    /// Of each operation: its kind, its namespace, its document. The first field of that names the
    /// namespace by its place in the batch.
    pub operations: Vec<(String, String, Py<PyDict>)>,
    pub acknowledged: bool,
    pub needs_8: Py<PyAny>,
    /// Gets what came of one batch; true to go on with the next.
    pub note: Py<PyAny>,
    pub then: Py<PyAny>,
    pub limits: BatchLimits,
    pub sent: usize,
}

/// One batch that was answered, while its results are read.
struct Answered {
    reply: Py<PyAny>,
    results: Py<PyList>,
    first: usize,
    count: usize,
}

impl ClientBulk {
    pub fn start(mut self) -> PyPending {
        self.terms.number_for(&self.core.settings.events); // one number for all batches
        self.terms.opens_cursor = self.acknowledged;
        self.terms.sessionless = !self.acknowledged;
        let (core, terms) = (self.core.clone(), self.terms.clone());
        let work = async move { destination(&core, &terms).await };
        PyPending::new(task(work, move |py: Python<'_>, server: CoreResult<ServerDescription>| {
            let server = server.map_err(|error| errors::to_python(py, &error))?;
            let told = server.kind != ServerType::LoadBalancer;
            if told && server.max_wire_version < WIRE_VERSION_OF_8 {
                return Err(PyErr::from_value(self.needs_8.bind(py).clone()));
            }
            self.limits = BatchLimits::of(&server);
            self.next(py)
        }))
    }

    fn next(mut self, py: Python<'_>) -> PyResult<Step> {
        let first = self.sent;
        if first >= self.operations.len() {
            return Ok(Step::Done(self.then.call0(py)?));
        }
        let (message, count) = self.encode_batch(py, first)?;
        self.sent += count;
        let terms = Terms { transaction_number: None, ..self.terms.clone() };
        let core = self.core.clone();
        let finish = move |py: Python<'_>, outcome| self.answered(py, outcome, first, count);
        Ok(Step::Again(task(run_owned(core, Operation { message, terms }), finish)))
    }

    /// As the bulk write specification cuts batches: operations and namespaces may take what the longest
    /// message leaves beside the command.
    fn encode_batch(&self, py: Python<'_>, first: usize) -> PyResult<(Message, usize)> {
        let limits = self.limits;
        let command = self.command.bind(py).as_any();
        let message = Message::new(|out| codec::encode_document(command, &self.codec, false, out))?;
        let beside = message.body().len() + ROOM_BESIDE;
        let (mut operations, mut namespaces) = (Vec::new(), Vec::new());
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut count = 0;
        for (kind, namespace, document) in &self.operations[first..] {
            if count > 0 && count == limits.statements {
                break;
            }
            let (operations_end, namespaces_end) = (operations.len(), namespaces.len());
            let next = known.len();
            let place = *known.entry(namespace).or_insert_with(|| {
                namespaces.extend_from_slice(bson::rawdoc! { "ns": namespace.as_str() }.as_bytes());
                next
            });
            let key = if kind == "replace" { "update" } else { kind };
            document.bind(py).set_item(key, place)?;
            codec::encode_document(document.bind(py), &self.codec, false, &mut operations)?;
            let encoded = &operations[operations_end..];
            self.check_size(py, kind, encoded)?;
            if beside + operations.len() + namespaces.len() > limits.bytes {
                if count == 0 {
                    return Err(too_large(py, key, encoded.len(), limits.document_bytes));
                }
                operations.truncate(operations_end);
                namespaces.truncate(namespaces_end);
                break;
            }
            count += 1;
        }
        let message = message.with_sequence("nsInfo", namespaces).with_sequence("ops", operations);
        Ok((if self.acknowledged { message } else { message.without_reply() }, count))
    }

    /// The server says nothing of what it refuses if it is asked not to answer.
    fn check_size(&self, py: Python<'_>, kind: &str, operation: &[u8]) -> PyResult<()> {
        if self.acknowledged {
            return Ok(());
        }
        let limit = self.limits.document_bytes;
        let field = if kind == "insert" { "document" } else { "updateMods" };
        let document = RawDocument::from_bytes(operation).ok();
        let stored = document.and_then(|operation| operation.get_document(field).ok());
        let stored = stored.map_or(0, |stored| stored.as_bytes().len());
        let whole_document = matches!(kind, "insert" | "replace");
        if whole_document && stored > limit {
            return Err(too_large(py, kind, stored, limit));
        }
        if operation.len() > limit + ROOM_OF_OPERATION {
            return Err(too_large(py, kind, operation.len(), limit + ROOM_OF_OPERATION));
        }
        Ok(())
    }

    fn answered(
        mut self,
        py: Python<'_>,
        outcome: CoreResult<Outcome>,
        first: usize,
        count: usize,
    ) -> PyResult<Step> {
        let results = PyList::empty(py);
        let outcome = match outcome {
            Err(error) if error.is_write_concern() => {
                // Retries did not cure it: nobody knows what the next batch would meet.
                self.sent = self.operations.len();
                let reply = error.reply().map(|reply| self.decode(py, reply));
                let reply = reply.unwrap_or_else(|| Err(errors::to_python(py, &error)))?;
                let (reply, results) = (reply.unbind(), results.unbind());
                return self.noted(py, Answered { reply, results, first, count }, None);
            }
            Err(error) if was_never_sent(&error) => return Err(errors::to_python(py, &error)),
            Err(error) => {
                let reply = PyDict::new(py).into_any().unbind();
                let answered = Answered { reply, results: results.unbind(), first, count };
                let error = errors::of_command(py, &error, &self.codec);
                return self.noted(py, answered, Some(error));
            }
            Ok(outcome) => outcome,
        };
        if outcome.reply.is_none() {
            return self.next(py); // unacknowledged
        }
        let (server, pinned) = (outcome.server.clone(), outcome.pinned.clone());
        let reply = outcome.into_reply().map_err(|error| errors::to_python(py, &error))?;
        let body = self.decode(py, reply.body())?;
        let has_cursor = body.contains(name!(py, "cursor"))?;
        let (reply_object, results) = (body.unbind(), results.unbind());
        let answered = Answered { reply: reply_object, results, first, count };
        if !has_cursor {
            return self.noted(py, answered, None);
        }
        let batch = Batch::of(reply).map_err(|error| errors::to_python(py, &error))?;
        let (_, collection) = batch.place((&self.terms.database, "$cmd.bulkWrite"));
        let collection = collection.to_owned();
        let held = Held {
            id: batch.cursor_id,
            database: self.terms.database.clone(),
            collection,
            address: server.address.clone(),
            session: self.terms.session.clone(),
            pinned,
        };
        self.read_results(py, answered, batch, held)
    }

    /// Nothing in it is the user's, nor in the documents of its cursor.
    fn decode<'py>(&self, py: Python<'py>, reply: &RawDocument) -> PyResult<Bound<'py, PyAny>> {
        codec::decode_reply(py, reply.as_bytes(), &self.codec, &Contents::Servers)
    }

    /// Takes in one batch of results and asks for the next.
    fn read_results(
        self,
        py: Python<'_>,
        answered: Answered,
        batch: Batch,
        held: Held,
    ) -> PyResult<Step> {
        let documents = batch.documents();
        let codec = self.codec.without_decoders();
        let found = codec::decode_array_of_documents(py, documents, &codec, &mut 0, usize::MAX)?;
        answered.results.bind(py).call_method1(name!(py, "extend"), (found,))?;
        if batch.cursor_id == 0 {
            return self.noted(py, answered, None);
        }
        Ok(Step::Again(self.more_results(py, answered, held)?))
    }

    fn more_results(
        self,
        py: Python<'_>,
        answered: Answered,
        held: Held,
    ) -> PyResult<Box<dyn Task>> {
        let mut extra = Vec::new();
        if let Some(comment) = self.command.bind(py).get_item("comment")? {
            let alone = PyDict::new(py);
            alone.set_item("comment", comment)?;
            codec::encode_document(&alone, &self.codec, false, &mut extra)?;
            extra.pop();
            extra.drain(..4);
        }
        let message = get_more::message(held.id, &held.collection, 0, &extra);
        let terms = Terms {
            kind: Kind::GetMore,
            server: Some(held.address.clone()),
            pinned: held.pinned.clone(),
            opens_cursor: false,
            ..self.terms.clone()
        };
        let core = self.core.clone();
        let finish = move |py: Python<'_>, outcome: CoreResult<Outcome>| {
            let batch = outcome.and_then(|outcome| Batch::of(outcome.into_reply()?));
            match batch {
                Ok(batch) => self.read_results(py, answered, batch, held),
                Err(error) => {
                    if close::leaves_it_open(&error) {
                        close::kill_later(self.core.clone(), held);
                    }
                    let error = errors::of_command(py, &error, &self.codec);
                    self.noted(py, answered, Some(error))
                }
            }
        };
        Ok(task(run_owned(core, Operation { message, terms }), finish))
    }

    fn noted(self, py: Python<'_>, answered: Answered, error: Option<PyErr>) -> PyResult<Step> {
        let Answered { reply, results, first, count } = answered;
        let error = error.map(|error| error.into_value(py));
        let go_on = self.note.call1(py, (reply, error, results, first, count))?;
        match go_on.bind(py).is_truthy()? {
            true => self.next(py),
            false => Ok(Step::Done(self.then.call0(py)?)),
        }
    }
}

/// There was no server or connection to send it over, which is no failure of the bulk write.
fn was_never_sent(error: &Error) -> bool {
    error.is_before_handshake()
        || matches!(
            error.kind(),
            ErrorKind::ServerSelection
                | ErrorKind::WaitQueueTimeout
                | ErrorKind::PoolCleared
                | ErrorKind::InvalidOperation
                | ErrorKind::Configuration
                | ErrorKind::Callback
        )
}

/// What the specification keeps free for all that stands in a message beside the documents.
const ROOM_BESIDE: usize = 1000;
/// How much longer than the longest document an operation may be.
const ROOM_OF_OPERATION: usize = 16 * 1024;
