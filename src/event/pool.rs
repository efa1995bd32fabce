//! Events of a server's connections (connection monitoring and pooling specification).

use std::time::Duration;

use bson::oid::ObjectId;

use crate::topology::address::Address;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolEvent {
    pub address: Address,
    pub what: PoolChange,
}

/// `id` names a connection: they count from 1 at each server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolChange {
    PoolCreated,
    PoolReady,
    PoolCleared { service_id: Option<ObjectId>, interrupt_connections: bool },
    PoolClosed,
    ConnectionCreated { id: u64 },
    ConnectionReady { id: u64, duration: Duration },
    ConnectionClosed { id: u64, reason: CloseReason },
    CheckOutStarted,
    CheckOutFailed { reason: CheckOutFailure, duration: Duration },
    CheckedOut { id: u64, duration: Duration },
    CheckedIn { id: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Its pool was cleared.
    Stale,
    /// Longer than maxIdleTimeMS.
    Idle,
    Error,
    PoolClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutFailure {
    Timeout,
    PoolClosed,
    ConnectionError,
}
