//! Cutting documents into batches by the server's limits. Decides; encoding is the caller's part.

use crate::topology::server::ServerDescription;

#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    pub documents: usize,
    pub bytes: usize,
    /// The largest single document.
    pub document_bytes: usize,
}

/// What is the same for all current servers, until one has said otherwise.
impl Default for BatchLimits {
    fn default() -> BatchLimits {
        BatchLimits {
            documents: 100_000,
            bytes: 48_000_000 - COMMAND_ROOM,
            document_bytes: 16 * 1024 * 1024,
        }
    }
}

impl BatchLimits {
    pub fn of(server: &ServerDescription) -> BatchLimits {
        let positive = |limit: i32| usize::try_from(limit).unwrap_or(0);
        BatchLimits {
            documents: positive(server.max_write_batch_size),
            bytes: positive(server.max_message_size_bytes).saturating_sub(COMMAND_ROOM),
            document_bytes: positive(server.max_bson_object_size),
        }
    }

    /// May a document of `size` bytes join a batch of `count` documents and `bytes` bytes?
    pub fn fits(&self, count: usize, bytes: usize, size: usize) -> bool {
        count == 0 || (count < self.documents && bytes + size <= self.bytes)
    }
}

/// What a message holds beside its documents.
const COMMAND_ROOM: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_either_limit_but_holds_at_least_one() {
        let limits = BatchLimits { documents: 2, bytes: 100, document_bytes: 90 };
        assert!(limits.fits(0, 0, 500));
        assert!(limits.fits(1, 60, 40));
        assert!(!limits.fits(1, 60, 41));
        assert!(!limits.fits(2, 10, 1));
    }
}
