//! The batch of a collection's bulk write that is being filled: one encoded statement after another, straight
//! into what is sent.

use super::limits::{BatchLimits, Refusal};
use super::progress::Start;
use super::verb::Verb;
use crate::error::Result;
use crate::wire::message::Message;

pub struct Batch {
    command: Message,
    /// How long it is.
    beside: usize,
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
        let beside = command.parts().0.len();
        Batch { command, beside, statements: Filling::default(), verb, limits, refusal, start }
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.limits.is_full(self.statements.count)
    }

    /// Where the next statement is to be appended.
    #[inline]
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.statements.bytes
    }

    /// Takes in the statement that was appended. False if it does not fit any more: then it is left to the next
    /// batch. An error if no batch could hold it, or if this client has to refuse it.
    #[inline]
    pub fn accept(&mut self) -> Result<bool> {
        let size = self.statements.latest().len();
        if self.limits.refuses(size, self.beside, self.refusal) {
            return Err(self.limits.too_large(self.verb.name(), size));
        }
        let count = self.statements.count + 1;
        if self.limits.hold_statements(count, self.beside + self.statements.bytes.len()) {
            self.statements.keep();
            return Ok(true);
        }
        if self.statements.count == 0 {
            return Err(self.limits.too_large(self.verb.name(), size));
        }
        self.statements.drop_latest();
        Ok(false)
    }

    #[inline]
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
    #[inline]
    pub fn latest(&self) -> &[u8] {
        &self.bytes[self.kept..]
    }

    #[inline]
    pub fn keep(&mut self) {
        self.kept = self.bytes.len();
        self.count += 1;
    }

    pub fn drop_latest(&mut self) {
        self.bytes.truncate(self.kept);
    }
}
