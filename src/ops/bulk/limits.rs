//! Cutting statements into batches by the server's limits. Decides; encoding is the caller's part.

use crate::topology::server::ServerDescription;

#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    pub statements: usize,
    /// The longest message.
    pub bytes: usize,
    /// The largest single document.
    pub document_bytes: usize,
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

    /// May a statement of `size` bytes join a message that holds `count` of them, and `bytes` bytes with
    /// its command? The first one always may, unless no message could hold it.
    pub fn fits(&self, count: usize, bytes: usize, size: usize) -> bool {
        let room = if count == 0 { 0 } else { ATTEMPT_ROOM };
        (count == 0 || count < self.statements) && bytes + size + room <= self.bytes
    }
}

/// What an attempt adds to the caller's command: session, cluster time, write concern.
const ATTEMPT_ROOM: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_either_limit_but_holds_at_least_one() {
        let bytes = 100 + ATTEMPT_ROOM;
        let limits = BatchLimits { statements: 2, bytes, document_bytes: 90 };
        assert!(limits.fits(0, 0, bytes));
        assert!(!limits.fits(0, 1, bytes));
        assert!(limits.fits(1, 60, 40));
        assert!(!limits.fits(1, 60, 41));
        assert!(!limits.fits(2, 10, 1));
    }
}
