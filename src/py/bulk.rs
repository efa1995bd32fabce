//! Inserts and bulk writes, batch by batch: encode one against the server's limits, send it, add up the
//! replies. A bulk write is a list of runs; all statements of a run go with one command.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use super::bulk_totals::Totals;
use super::object_ids;
use super::pending::{PyPending, Step, Task, task};
use super::scope::{decode_reply, run_owned};
use super::{errors, imports};
use crate::codec::{self, CodecSettings, Contents};
use crate::error::Result as CoreResult;
use crate::exec::client::ClientCore;
use crate::exec::operation::{Kind, Operation, Outcome, Terms};
use crate::exec::run::destination;
use crate::exec::size::{self, COMMAND_OVERHEAD};
use crate::ops::bulk::limits::BatchLimits;
use crate::ops::bulk::verb::Verb;
use crate::topology::server::{ServerDescription, ServerType};
use crate::wire::message::Message;

pub struct Bulk {
    pub codec: Arc<CodecSettings>,
    pub core: Arc<ClientCore>,
    pub terms: Terms,
    pub runs: Vec<Run>,
    pub ordered: bool,
    pub answers: Answers,
    /// Each document is held against the server's limit here; else only the server does.
    pub measured: bool,
    /// What to raise if the server is older than 8.0.
    pub needs_8: Option<Py<PyAny>>,
    /// Gets the totals, and after an insert the ids of its documents.
    pub then: Py<PyAny>,
    pub progress: Progress,
}

pub struct Run {
    pub verb: Verb,
    pub command: Py<PyAny>,
    pub statements: Py<PyList>,
    /// Where each stands in the whole bulk write; `None` if that is where it stands here.
    pub positions: Option<Py<PyAny>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    All,
    /// Unacknowledged, yet ordered: only answers tell where to stop. A last batch of one needs none.
    AllButLast,
    None,
}

#[derive(Default)]
pub struct Progress {
    limits: Option<BatchLimits>,
    /// The current run, and how many of its statements were sent.
    run: usize,
    sent: usize,
    ids: Option<Vec<Py<PyAny>>>,
    totals: Totals,
    /// An unacknowledged write met an error, which nobody wants to hear of.
    gave_up: bool,
}

impl Progress {
    /// Will also answer the ids of the first run.
    pub fn with_ids() -> Progress {
        Progress { ids: Some(Vec::new()), ..Progress::default() }
    }
}

impl Run {
    pub fn of_bulk_write(parts: &Bound<'_, PyAny>) -> PyResult<Run> {
        let (command, statements, positions): (
            Bound<'_, PyAny>,
            Bound<'_, PyList>,
            Bound<'_, PyAny>,
        ) = parts.extract()?;
        for verb in Verb::ALL {
            if command.contains(verb.name())? {
                let (command, statements) = (command.unbind(), statements.unbind());
                return Ok(Run { verb, command, statements, positions: Some(positions.unbind()) });
            }
        }
        Err(PyValueError::new_err("a run is an insert, an update or a delete"))
    }

    fn position(&self, py: Python<'_>, index: usize) -> PyResult<usize> {
        match &self.positions {
            Some(positions) => positions.bind(py).get_item(index)?.extract(),
            None => Ok(index),
        }
    }
}

impl Bulk {
    pub fn start(mut self, py: Python<'_>) -> PyResult<PyPending> {
        self.terms.number_for(&self.core.settings.events); // one number for all batches
        if self.answers != Answers::All {
            self.terms.kind = Kind::Write { retry: false };
            self.terms.sessionless = true;
        }
        self.ensure_ids(py)?;
        let core = self.core.clone();
        let snapshot = core.opened().map(|cluster| cluster.snapshot());
        let server = snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.known_servers().find(|server| server.kind.is_writable()));
        match server {
            Some(server) => self.learn(py, server)?,
            None if self.needs_limits(py) => return Ok(PyPending::new(self.meet())),
            None => {}
        }
        // The first batch is encoded now: bad documents are refused before anything is sent.
        match self.next(py)? {
            Step::Again(first) | Step::Pause(first) => Ok(PyPending::new(first)),
            Step::Done(result) => Ok(PyPending::known(Ok(result))),
        }
    }

    /// Every document gets one, also those that an error then keeps from being sent.
    fn ensure_ids(&mut self, py: Python<'_>) -> PyResult<()> {
        for run in self.runs.iter().filter(|run| run.verb == Verb::Insert) {
            for document in run.statements.bind(py) {
                let id = codec::ensure_id(&document, &self.codec, object_ids::generate)?;
                if let Some(ids) = &mut self.progress.ids {
                    ids.push(id);
                }
            }
        }
        Ok(())
    }

    /// A single statement fits whatever the limits are, or does not.
    fn needs_limits(&self, py: Python<'_>) -> bool {
        let [run] = &self.runs[..] else { return true };
        self.needs_8.is_some() || run.statements.bind(py).len() > 1
    }

    /// Waits for a server that can take writes, and goes on.
    fn meet(mut self) -> Box<dyn Task> {
        let (core, terms) = (self.core.clone(), self.terms.clone());
        let work = async move { destination(&core, &terms).await };
        task(work, move |py: Python<'_>, server| {
            let server = server.map_err(|error| errors::to_python(py, &error))?;
            self.learn(py, &server)?;
            self.next(py)
        })
    }

    fn learn(&mut self, py: Python<'_>, server: &ServerDescription) -> PyResult<()> {
        self.progress.limits = Some(BatchLimits::of(server));
        let old =
            server.kind != ServerType::LoadBalancer && server.max_wire_version < WIRE_VERSION_OF_8;
        match &self.needs_8 {
            Some(error) if old => Err(PyErr::from_value(error.bind(py).clone())),
            _ => Ok(()),
        }
    }

    /// The next batch as a task, or the result when there is nothing more to send.
    fn next(mut self, py: Python<'_>) -> PyResult<Step> {
        let Progress { run: at, sent: first, totals, gave_up, .. } = &self.progress;
        let (at, first) = (*at, *first);
        let stop = *gave_up || totals.halted || (self.ordered && totals.any_failed());
        let Some(run) = self.runs.get(at).filter(|_| !stop) else { return self.result(py) };
        let left = run.statements.bind(py).len().saturating_sub(first);
        let answered = match self.answers {
            Answers::All => true,
            Answers::AllButLast => left != 1 || at + 1 < self.runs.len(),
            Answers::None => false,
        };
        let (message, count) = self.encode_batch(py, run, first, answered)?;
        self.progress.sent += count;
        if count >= left {
            (self.progress.run, self.progress.sent) = (at + 1, 0);
        }
        let mut terms = Terms { transaction_number: None, ..self.terms.clone() };
        if answered && self.answers != Answers::All {
            terms.write_concern = None; // the server's default, for it has to answer
        }
        let core = self.core.clone();
        let finish = move |py: Python<'_>, outcome| {
            self.note(py, outcome, at, first)?;
            self.next(py)
        };
        Ok(Step::Again(task(run_owned(core, Operation { message, terms }), finish)))
    }

    /// The statements from `first` that fit into one message, and how many they are.
    fn encode_batch(
        &self,
        py: Python<'_>,
        run: &Run,
        first: usize,
        answered: bool,
    ) -> PyResult<(Message, usize)> {
        let limits = self.progress.limits.unwrap_or_default();
        let statements = run.statements.bind(py);
        let command = run.command.bind(py);
        let message = Message::new(|out| codec::encode_document(command, &self.codec, false, out))?;
        let beside = message.parts().0.len();
        let mut bytes = Vec::new();
        let mut count = 0;
        while let Ok(statement) = statements.get_item(first + count) {
            let start = bytes.len();
            codec::encode_document(&statement, &self.codec, false, &mut bytes)?;
            let size = bytes.len() - start;
            // The server says nothing of what it refuses if it is asked not to answer.
            let too_large_for_it = match answered {
                true => self.measured && beside + size > limits.document_bytes + COMMAND_OVERHEAD,
                false => size > limits.document_bytes,
            };
            let fits = limits.fits(count, beside + start, size);
            if too_large_for_it || (!fits && count == 0) {
                return Err(too_large(py, run.verb.name(), size, limits.document_bytes));
            }
            if !fits {
                bytes.truncate(start);
                break;
            }
            count += 1;
        }
        let message = message.with_sequence(run.verb.field(), bytes);
        Ok((if answered { message } else { message.without_reply() }, count))
    }

    /// Adds up one batch of run `at`, which began with its statement `first`.
    fn note(
        &mut self,
        py: Python<'_>,
        outcome: CoreResult<Outcome>,
        at: usize,
        first: usize,
    ) -> PyResult<()> {
        let mut halted = false;
        let reply = match outcome {
            // A retry did not cure it: what was written is told all the same.
            Err(error) if error.is_write_concern() => {
                halted = true;
                match error.reply() {
                    Some(reply) => {
                        let reply = reply.as_bytes();
                        codec::decode_reply(py, reply, &self.codec, &Contents::Servers)?
                    }
                    None => return Err(errors::to_python(py, &error)),
                }
            }
            Err(error) if self.answers != Answers::All => {
                let error = errors::to_python(py, &error);
                self.progress.gave_up = error.matches(py, imports::OPERATION_FAILURE.get(py)?)?;
                return if self.progress.gave_up { Ok(()) } else { Err(error) };
            }
            outcome => {
                let server = outcome.as_ref().ok().map(|outcome| &outcome.server);
                self.progress.limits = server.map(|server| BatchLimits::of(server));
                decode_reply(py, outcome, &self.codec, &Contents::Servers)?
            }
        };
        let (run, totals) = (&self.runs[at], &mut self.progress.totals);
        let position = |index: usize| run.position(py, first + index);
        let noted = totals.note(run.verb, &reply, position);
        totals.halted |= halted;
        noted.map_err(|error| errors::malformed_reply(py, error))
    }

    fn result(self, py: Python<'_>) -> PyResult<Step> {
        let totals = self.progress.totals.into_dict(py)?;
        let then = self.then.bind(py);
        let result = match self.progress.ids {
            Some(ids) => then.call1((totals, PyList::new(py, ids)?))?,
            None => then.call1((totals,))?,
        };
        Ok(Step::Done(result.unbind()))
    }
}

pub fn too_large(py: Python<'_>, kind: &str, size: usize, limit: usize) -> PyErr {
    errors::to_python(py, &size::error(kind, size, limit))
}

pub const WIRE_VERSION_OF_8: i32 = 25;
