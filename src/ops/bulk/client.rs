//! `bulkWrite`, the command of MongoDB 8.0 that writes to several collections: batch by batch, each filled by the
//! caller. `send` sends it and reads the cursor of its results.

use std::sync::Arc;

use bson::RawDocument;

use super::client_batch::ClientBatch;
use super::client_totals::{ClientTotals, Failure};
use super::destination::{self, Feature};
use super::limits::BatchLimits;
use super::totals::invalid;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::client::ClientCore;
use crate::exec::operation::{Operation, Outcome, Terms};
use crate::exec::run::run;
use crate::ops::cursor::batch::Batch;
use crate::ops::cursor::server_cursor::ServerCursor;
use crate::ops::cursor::state::Options;
use crate::wire::elements;
use crate::wire::message::Message;

pub struct ClientBulkWrite {
    core: Arc<ClientCore>,
    terms: Terms,
    manner: ClientManner,
    operations: usize,
    limits: BatchLimits,
    sent: usize,
    totals: ClientTotals,
}

#[derive(Clone, Copy)]
pub struct ClientManner {
    pub ordered: bool,
    pub acknowledged: bool,
    /// What came of each operation is kept, not only of those that failed.
    pub verbose: bool,
}

/// The operations of one batch.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
}

impl ClientBulkWrite {
    pub fn new(
        core: Arc<ClientCore>,
        mut terms: Terms,
        operations: usize,
        manner: ClientManner,
    ) -> ClientBulkWrite {
        terms.number_for(&core.settings.events); // one number for all batches
        terms.opens_cursor = manner.acknowledged;
        terms.sessionless = !manner.acknowledged;
        let (limits, totals) = (BatchLimits::default(), ClientTotals::default());
        ClientBulkWrite { core, terms, manner, operations, limits, sent: 0, totals }
    }

    /// Waits for a server that can take writes, and refuses one that is too old.
    pub async fn meet(mut self) -> Result<ClientBulkWrite> {
        let needed = Some(Feature::ClientBulkWrite);
        self.limits = destination::meet(&self.core, &self.terms, needed).await?;
        Ok(self)
    }

    /// The operation that the next batch begins with; `None` if nothing more is to be sent.
    pub fn next(&self) -> Option<usize> {
        let ClientTotals { totals, failure, .. } = &self.totals;
        let failed = self.manner.ordered && !totals.write_errors.is_empty();
        let stop = failure.is_some() || totals.halted || failed;
        (!stop && self.sent < self.operations).then_some(self.sent)
    }

    /// An empty batch for `command`, which has no operations yet.
    pub fn batch(&self, command: Message) -> ClientBatch {
        ClientBatch::new(command, self.limits, self.manner.acknowledged)
    }

    /// Sends a batch and takes in its answer. An error ends the bulk write without a result; others are
    /// reported with the totals.
    pub async fn send(mut self, batch: ClientBatch) -> Result<ClientBulkWrite> {
        let part = Part { first: self.sent, count: batch.count() };
        self.sent += part.count;
        let terms = Terms { transaction_number: None, ..self.terms.clone() };
        let mut operation = Operation { message: batch.into_message(), terms };
        match run(&self.core, &mut operation).await {
            // On the heap, since a batch with more results than fit into its reply is rare.
            Ok(outcome) => Box::pin(self.note_reply(part, outcome, operation)).await?,
            Err(error) => self.note_error(part, error)?,
        }
        Ok(self)
    }

    pub fn into_totals(self) -> ClientTotals {
        self.totals
    }

    async fn note_reply(
        &mut self,
        part: Part,
        outcome: Outcome,
        operation: Operation,
    ) -> Result<()> {
        self.limits = BatchLimits::of(&outcome.server);
        let Some(reply) = &outcome.reply else { return Ok(()) }; // unacknowledged
        let retryable = self.totals.add_summary(reply.body(), part.count)?;
        self.totals.totals.halted |= retryable && operation.terms.transaction_number.is_some();
        if self.totals.totals.halted || !matches!(reply.body().get("cursor"), Ok(Some(_))) {
            return Ok(());
        }
        if let Err(error) = self.read_results(part, outcome, operation).await {
            self.totals.failure = Some(Failure::Results(error));
        }
        Ok(())
    }

    /// To the end of their cursor.
    async fn read_results(
        &mut self,
        part: Part,
        outcome: Outcome,
        Operation { message, terms }: Operation,
    ) -> Result<()> {
        let (core, limit) = (self.core.clone(), terms.limit);
        let options = Options { extra: comment_of(&message), ..Options::plain() };
        let terms = Terms { transaction_number: None, ..terms };
        let opened = Operation { message, terms };
        let cursor = ServerCursor::opened_by(core.clone(), &opened, options, outcome)?;
        drop(opened); // with all of its operations
        loop {
            if let Some(batch) = cursor.take_batch()? {
                self.add_results(part, &batch)?;
            }
            let more = cursor.claim()?.and_then(|claim| claim.get_more(core.clone(), limit));
            let Some(fetch) = more else { return Ok(()) };
            fetch.run(0).await?;
        }
    }

    fn note_error(&mut self, part: Part, error: Error) -> Result<()> {
        match error.reply().filter(|_| error.is_write_concern()) {
            // Retries did not cure it. The totals have what was written.
            Some(reply) => {
                self.totals.add_summary(reply, part.count)?;
                self.totals.totals.halted = true;
            }
            None if was_never_sent(&error) => return Err(error),
            None => self.totals.failure = Some(Failure::Command(error)),
        }
        Ok(())
    }

    fn add_results(&mut self, part: Part, batch: &Batch) -> Result<()> {
        for result in batch.raw() {
            let result = RawDocument::from_bytes(result).map_err(invalid)?;
            self.totals.add_result(result, part.first, part.count, self.manner.verbose)?;
        }
        Ok(())
    }
}

/// The element of the command that every getMore repeats, if it has one.
fn comment_of(command: &Message) -> Vec<u8> {
    let comment = RawDocument::from_bytes(command.body()).ok().and_then(|body| {
        let element = elements::find(body, |name| name == "comment")?;
        Some(body.as_bytes()[element].to_vec())
    });
    comment.unwrap_or_default()
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
