//! Server selections and retries of operations (server selection specification, logging). Loggers hear
//! of them, listeners do not.

use std::sync::Arc;
use std::time::Duration;

use super::Publisher;
use crate::topology::address::Address;
use crate::topology::selection::Criteria;
use crate::topology::snapshot::Snapshot;

#[derive(Clone, Debug)]
pub struct SelectionEvent {
    pub request: Arc<Request>,
    pub topology: Arc<Snapshot>,
    pub what: SelectionChange,
}

#[derive(Debug)]
pub struct Request {
    /// `None`: the server at one address.
    pub criteria: Option<Criteria>,
    pub operation: String,
    pub operation_id: Option<i32>,
}

#[derive(Clone, Debug)]
pub enum SelectionChange {
    Started,
    Waiting { remaining: Duration },
    Succeeded { address: Address },
    Failed { reason: String },
}

/// An operation is about to be tried again.
#[derive(Clone, Debug)]
pub struct RetryEvent {
    pub operation: String,
    pub operation_id: Option<i32>,
    /// The first retry is 1.
    pub attempt: u32,
    pub write: bool,
}

/// For whom a server is selected.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    pub operation: &'a str,
    pub operation_id: Option<i32>,
}

/// A selection under way whose events are wanted.
pub struct Selecting {
    events: Publisher,
    request: Arc<Request>,
}

impl Selecting {
    pub fn start(
        events: &Publisher,
        asker: Asker<'_>,
        criteria: Option<&Criteria>,
        topology: &Arc<Snapshot>,
    ) -> Selecting {
        let request = Request {
            criteria: criteria.cloned(),
            operation: asker.operation.to_owned(),
            operation_id: asker.operation_id,
        };
        let selecting = Selecting { events: events.clone(), request: Arc::new(request) };
        selecting.tell(topology, SelectionChange::Started);
        selecting
    }

    pub fn tell(&self, topology: &Arc<Snapshot>, what: SelectionChange) {
        let (request, topology) = (self.request.clone(), topology.clone());
        self.events.selection(|| SelectionEvent { request, topology, what });
    }
}
