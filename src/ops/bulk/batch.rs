//! The batch of a collection's bulk write that is being filled: one encoded statement after another, straight
//! into what is sent.

use super::limits::{BatchLimits, Refusal};
use super::progress::Start;
use super::verb::Verb;
use crate::error::Result;
use crate::wire::message::Message;

pub struct Batch {
    command: Message,
    statements: Filling,
    verb: Verb,
    limits: BatchLimits,
    refusal: Refusal,
    pub(super) start: Start,
}

impl Batch {
    /// `command` carries no statements yet.
    pub(super) fn new(
        command: Message,
        verb: Verb,
        limits: BatchLimits,
        refusal: Refusal,
        start: Start,
    ) -> Batch {
        Batch { command, statements: Filling::default(), verb, limits, refusal, start }
    }

    pub fn is_full(&self) -> bool {
        self.limits.is_full(self.statements.count)
    }

    /// Where the next statement is to be appended.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.statements.bytes
    }

    /// Takes in the statement that was appended. False if it does not fit any more: then it is left to the next
    /// batch. An error if no batch could hold it, or nobody else would refuse it.
    pub fn accept(&mut self) -> Result<bool> {
        let command = self.command.parts().0.len();
        let size = self.statements.latest().len();
        self.limits.check_statement(self.verb, size, command, self.refusal)?;
        let (count, bytes) = (self.statements.count + 1, command + self.statements.bytes.len());
        if self.limits.hold_statements(count, bytes) {
            self.statements.keep();
            return Ok(true);
        }
        if self.statements.count == 0 {
            return Err(self.limits.too_large(self.verb.name(), size));
        }
        self.statements.drop_latest();
        Ok(false)
    }

    pub fn count(&self) -> usize {
        self.statements.count
    }

    pub(super) fn into_message(self) -> Message {
        self.command.with_sequence(self.verb.field(), self.statements.bytes)
    }
}

/// Documents end to end, the latest of which may be taken back.
#[derive(Default)]
pub(super) struct Filling {
    pub bytes: Vec<u8>,
    /// Where those end that were kept.
    kept: usize,
    pub count: usize,
}

impl Filling {
    pub fn latest(&self) -> &[u8] {
        &self.bytes[self.kept..]
    }

    pub fn keep(&mut self) {
        self.kept = self.bytes.len();
        self.count += 1;
    }

    pub fn drop_latest(&mut self) {
        self.bytes.truncate(self.kept);
    }
}
