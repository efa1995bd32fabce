//! Which of the driver's loggers want records. They belong to the process, and whoever holds the GIL
//! notes here what their levels say; then any thread sees it without Python.

use std::sync::atomic::{AtomicU8, Ordering};

/// A logger, as a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Logger {
    Command = 1,
    Connection = 2,
    ServerSelection = 4,
    Topology = 8,
    /// Of transactions that ended, and of those whose outcome is unknown. They concern clients with a
    /// transaction log only.
    Transaction = 16,
    UnknownTransaction = 32,
}

pub fn wants(logger: Logger) -> bool {
    WANTED.load(Ordering::Relaxed) & logger as u8 != 0
}

/// The bits of all loggers that want records from now on.
pub fn note(wanted: u8) {
    WANTED.store(wanted, Ordering::Relaxed);
}

static WANTED: AtomicU8 = AtomicU8::new(0);
