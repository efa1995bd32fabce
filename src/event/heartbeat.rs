//! Events of a server's checks by its monitor.

use std::time::Duration;

use bson::RawDocumentBuf;

use crate::topology::address::Address;

#[derive(Clone, Debug)]
pub struct HeartbeatEvent {
    pub address: Address,
    /// The server answers when something has changed, so the time says nothing about the line.
    pub awaited: bool,
    /// The monitor's connections are numbered apart from those of the pool.
    pub driver_connection_id: u32,
    pub server_connection_id: Option<i64>,
    pub what: HeartbeatChange,
}

#[derive(Clone, Debug)]
pub enum HeartbeatChange {
    Started,
    Succeeded { duration: Duration, reply: RawDocumentBuf },
    Failed { duration: Duration, error: String, timeout: bool },
}

impl HeartbeatEvent {
    pub(super) fn size(&self) -> usize {
        match &self.what {
            HeartbeatChange::Succeeded { reply, .. } => reply.as_bytes().len(),
            HeartbeatChange::Started | HeartbeatChange::Failed { .. } => 0,
        }
    }
}
