//! The bulk write of a collection, `insert_many` included: batch by batch, each filled by the caller and sent by
//! `send`.

use std::sync::Arc;

use super::batch::Batch;
use super::destination::{self, Feature};
use super::limits::{BatchLimits, Refusal};
use super::progress::{Progress, Run, Start};
use super::totals::Totals;
use crate::error::Result;
use crate::exec::client::ClientCore;
use crate::exec::operation::{CommandKind, Operation, Terms};
use crate::exec::run::run;
use crate::wire::message::Message;

pub struct BulkWrite {
    core: Arc<ClientCore>,
    terms: Terms,
    manner: Manner,
    /// Those of the latest server.
    limits: Option<BatchLimits>,
    progress: Progress,
}

#[derive(Clone, Copy)]
pub struct Manner {
    pub ordered: bool,
    pub acknowledged: bool,
    /// Each statement is held against the server's limit here; else only the server does, if it replies.
    pub measured: bool,
    pub needs: Option<Feature>,
}

impl BulkWrite {
    pub fn new(
        core: Arc<ClientCore>,
        mut terms: Terms,
        runs: Vec<Run>,
        manner: Manner,
    ) -> BulkWrite {
        terms.number_for(&core.settings.events); // one number for all batches
        if !manner.acknowledged {
            terms.kind = CommandKind::Write { retry: false };
            terms.sessionless = true;
        }
        let progress = Progress::new(runs, manner.ordered, manner.acknowledged);
        BulkWrite { core, terms, manner, limits: None, progress }
    }

    /// Whether a batch can be cut now, before any server was waited for: one is known, or its limits do not matter.
    pub fn is_ready(&mut self) -> Result<bool> {
        self.limits = destination::known(&self.core, self.manner.needs)?;
        // A single statement fits whatever the limits are, or does not.
        let single = matches!(self.progress.runs(), [run] if run.statements <= 1);
        Ok(self.limits.is_some() || (single && self.manner.needs.is_none()))
    }

    /// Waits for a server that can take writes.
    pub async fn meet(mut self) -> Result<BulkWrite> {
        self.limits = Some(destination::meet(&self.core, &self.terms, self.manner.needs).await?);
        Ok(self)
    }

    /// Where the next batch begins; `None` if nothing more is to be sent.
    pub fn next(&self) -> Option<Start> {
        self.progress.next()
    }

    /// An empty batch for `command`, which is the current run's without its statements.
    pub fn batch(&self, command: Message, start: Start) -> Batch {
        let (command, refusal) = match start.answered {
            true if self.manner.measured => (command, Refusal::Measured),
            true => (command, Refusal::Replied),
            false => (command.without_reply(), Refusal::Unanswered),
        };
        let verb = self.progress.runs()[start.run].verb;
        Batch::new(command, verb, self.limits.unwrap_or_default(), refusal, start)
    }

    /// Sends a batch and takes in its answer. An error ends the bulk write without a result.
    pub async fn send(mut self, batch: Batch) -> Result<BulkWrite> {
        let (start, count) = (batch.start, batch.count());
        self.progress.note_sent(start, count);
        let mut terms = Terms { transaction_number: None, ..self.terms.clone() };
        if start.answered && !self.manner.acknowledged {
            terms.write_concern = None; // the server's default, for it has to answer
        }
        let mut operation = Operation { message: batch.into_message(), terms };
        match run(&self.core, &mut operation).await {
            Ok(outcome) => {
                self.limits = Some(BatchLimits::of(&outcome.server));
                if let Some(reply) = &outcome.reply {
                    self.progress.note_reply(start, count, reply.body())?;
                }
            }
            Err(error) => self.progress.note_error(start, count, error)?,
        }
        Ok(self)
    }

    pub fn into_totals(self) -> Totals {
        self.progress.into_totals()
    }
}
