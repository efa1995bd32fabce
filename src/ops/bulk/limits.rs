//! The sizes that a batch and its statements are held against: the server's limits, and what is kept free beside
//! them. Decides; encoding is the caller's part.

use bson::RawDocument;

use super::operation::OperationKind;
use crate::error::{Error, Result};
use crate::exec::size::{self, COMMAND_OVERHEAD};
use crate::topology::server::ServerDescription;

#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    pub statements: usize,
    /// The longest message.
    pub bytes: usize,
    /// The largest single document.
    pub document_bytes: usize,
}

/// Who refuses a statement that is too large for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server does, in its reply.
    Replied,
    /// This client does, for a command whose only statement it is.
    Measured,
    /// This client does: the server says nothing of what it refuses if it is asked not to answer.
    Unanswered,
}

/// What is the same for all current servers, until one has said otherwise.
impl Default for BatchLimits {
    fn default() -> BatchLimits {
        BatchLimits { statements: 100_000, bytes: 48_000_000, document_bytes: 16 * 1024 * 1024 }
    }
}

impl BatchLimits {
    pub fn of(server: &ServerDescription) -> BatchLimits {
        let positive = |limit: i32| usize::try_from(limit).unwrap_or(0);
        BatchLimits {
            statements: positive(server.max_write_batch_size),
            bytes: positive(server.max_message_size_bytes),
            document_bytes: positive(server.max_bson_object_size),
        }
    }

    /// Whether a batch of `count` statements takes no more. The first one always may join.
    #[inline]
    pub fn is_full(&self, count: usize) -> bool {
        count > 0 && count >= self.statements
    }

    /// May `count` statements, which take `bytes` bytes with their command, be one batch of a collection? The
    /// first one may, unless no message could hold it.
    #[inline]
    pub fn hold_statements(&self, count: usize, bytes: usize) -> bool {
        let room = if count == 1 { 0 } else { ATTEMPT_ROOM };
        bytes + room <= self.bytes
    }

    /// The same for operations of a client: they and their namespaces may take what the longest message leaves
    /// beside the command, as the bulk write specification has it.
    pub fn hold_operations(&self, bytes: usize) -> bool {
        bytes + ROOM_BESIDE_OPERATIONS <= self.bytes
    }

    /// Whether this client refuses a statement of `size` bytes for a command of `command` bytes.
    #[inline]
    pub fn refuses(&self, size: usize, command: usize, refusal: Refusal) -> bool {
        match refusal {
            Refusal::Replied => false,
            Refusal::Measured => command + size > self.document_bytes + COMMAND_OVERHEAD,
            Refusal::Unanswered => size > self.document_bytes,
        }
    }

    /// Refuses an operation for a command that is not answered.
    pub fn check_operation(&self, kind: OperationKind, operation: &[u8]) -> Result<()> {
        let stored = kind.stored_field().and_then(|field| {
            Some(
                RawDocument::from_bytes(operation).ok()?.get_document(field).ok()?.as_bytes().len(),
            )
        });
        if let Some(stored) = stored.filter(|&stored| stored > self.document_bytes) {
            return Err(self.too_large(kind.name(), stored));
        }
        let limit = self.document_bytes + ROOM_OF_OPERATION;
        if operation.len() > limit {
            return Err(size::error(kind.name(), operation.len(), limit));
        }
        Ok(())
    }

    pub fn too_large(&self, command: &str, size: usize) -> Error {
        size::error(command, size, self.document_bytes)
    }
}

/// What an attempt adds to the caller's command: session, cluster time, write concern.
const ATTEMPT_ROOM: usize = 16 * 1024;
/// What the specification keeps free for all that stands in a message beside operations and namespaces.
const ROOM_BESIDE_OPERATIONS: usize = 1000;
/// How much longer than the longest document an operation may be.
const ROOM_OF_OPERATION: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(bytes: usize) -> BatchLimits {
        BatchLimits { statements: 2, bytes, document_bytes: 90 }
    }

    #[test]
    fn a_batch_is_full_at_the_limit_but_holds_at_least_one() {
        let none = BatchLimits { statements: 0, ..limits(100) };
        assert!(!none.is_full(0) && none.is_full(1));
        assert!(!limits(100).is_full(1) && limits(100).is_full(2));
    }

    #[test]
    fn all_but_the_first_statement_leave_room_for_an_attempt() {
        let limits = limits(100 + ATTEMPT_ROOM);
        assert!(limits.hold_statements(1, 100 + ATTEMPT_ROOM));
        assert!(!limits.hold_statements(1, 101 + ATTEMPT_ROOM));
        assert!(limits.hold_statements(2, 100));
        assert!(!limits.hold_statements(2, 101));
    }

    #[test]
    fn operations_leave_room_from_the_first_one_on() {
        let limits = limits(100 + ROOM_BESIDE_OPERATIONS);
        assert!(limits.hold_operations(100));
        assert!(!limits.hold_operations(101));
    }

    #[test]
    fn only_what_the_server_will_not_refuse_is_refused() {
        let limits = limits(1_000_000);
        let refused = |size, refusal| limits.refuses(size, 10, refusal);
        assert!(!refused(900_000, Refusal::Replied));
        let largest = 90 + COMMAND_OVERHEAD - 10;
        assert!(!refused(largest, Refusal::Measured) && refused(largest + 1, Refusal::Measured));
        assert!(!refused(90, Refusal::Unanswered) && refused(91, Refusal::Unanswered));
    }

    #[test]
    fn of_an_operation_the_stored_document_counts_and_then_the_whole() {
        let limits = limits(1_000_000);
        let text = "x".repeat(90);
        let stored = bson::rawdoc! { "x": text.as_str() };
        let insert = bson::rawdoc! { "insert": 0, "document": stored.clone() };
        assert!(limits.check_operation(OperationKind::Insert, insert.as_bytes()).is_err());
        let update = bson::rawdoc! { "update": 0, "filter": stored, "updateMods": {} };
        assert!(limits.check_operation(OperationKind::Replace, update.as_bytes()).is_ok());
        let text = "x".repeat(ROOM_OF_OPERATION + 90);
        let delete = bson::rawdoc! { "delete": 0, "filter": { "x": text.as_str() } };
        assert!(limits.check_operation(OperationKind::Delete, delete.as_bytes()).is_err());
    }
}
