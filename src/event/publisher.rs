//! One event of any kind, and where a client's events go.

use std::fmt;
use std::sync::Arc;

use bson::oid::ObjectId;

use super::command::CommandEvent;
use super::heartbeat::HeartbeatEvent;
use super::logs::{self, Logger};
use super::own;
use super::pool::{PoolChange, PoolEvent};
use super::queue::{Ident, Queue};
use super::selection::{RetryEvent, SelectionEvent};
use super::topology::{TopologyChange, TopologyEvent};

#[derive(Clone, Debug)]
pub enum Event {
    Pool(PoolEvent),
    Topology(TopologyEvent),
    Heartbeat(HeartbeatEvent),
    Command(CommandEvent),
    Selection(SelectionEvent),
    Retry(RetryEvent),
    /// The entry of a transaction that has ended, for the log.
    Transaction(Vec<u8>),
}

impl Event {
    /// These have one order regardless of the thread that causes them, and belong to no operation.
    pub(super) fn is_of_the_deployment(&self) -> bool {
        use PoolChange::*;
        match self {
            Event::Topology(_) | Event::Heartbeat(_) => true,
            Event::Pool(PoolEvent { what, .. }) => matches!(what, PoolCreated | PoolReady),
            Event::Command(_) | Event::Selection(_) | Event::Retry(_) | Event::Transaction(_) => {
                false
            }
        }
    }

    /// Roughly, in bytes.
    pub(super) fn size(&self) -> usize {
        let carried = match self {
            Event::Heartbeat(event) => event.size(),
            Event::Command(event) => event.size(),
            Event::Transaction(entry) => entry.len(),
            Event::Pool(_) | Event::Topology(_) | Event::Selection(_) | Event::Retry(_) => 0,
        };
        carried + size_of::<Event>()
    }
}

/// The kinds of events that somebody listens to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub command: bool,
    pub pool: bool,
    pub server: bool,
    pub heartbeat: bool,
    pub topology: bool,
}

/// Takes an event from any thread, in the order they happen; must neither block nor touch Python.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Where a client's events go, if its listeners or the process's loggers want them. The default
/// drops them.
#[derive(Clone, Default)]
pub struct Publisher {
    wanted: Wanted,
    sink: Option<Sink>,
    queue: Option<Arc<Queue>>,
}

impl Publisher {
    /// Passes every event to `sink` immediately.
    pub fn new(wanted: Wanted, sink: Sink) -> Publisher {
        Publisher { wanted, sink: Some(sink), queue: None }
    }

    /// Events of an operation are delivered by its thread (`own`), all others by a dispatcher.
    pub fn queued(wanted: Wanted, queue: Arc<Queue>) -> Publisher {
        let background = queue.clone();
        let sink = move |event: Event| match event.is_of_the_deployment() {
            true => background.push(event),
            false => own::push(&background, event),
        };
        Publisher { wanted, sink: Some(Arc::new(sink)), queue: Some(queue) }
    }

    /// Listeners are far behind with background events: no more of those of monitors for now, if somebody
    /// wants them at all.
    pub fn has_no_room_for_monitoring(&self) -> bool {
        let Wanted { server, heartbeat, topology, .. } = self.wanted;
        (server || heartbeat || topology || logs::wants(Logger::Topology))
            && self.queue.as_ref().is_some_and(|queue| queue.is_full())
    }

    /// Waits until listeners are less far behind.
    pub async fn room(&self) {
        if let Some(queue) = &self.queue {
            queue.room().await;
        }
    }

    /// Waits until the dispatcher has delivered all events so far.
    pub async fn drained(&self, caller: Ident) {
        if let Some(queue) = &self.queue {
            queue.drained(caller).await;
        }
    }

    pub fn wants_commands(&self) -> bool {
        self.sink.is_some() && (self.wanted.command || logs::wants(Logger::Command))
    }

    pub fn wants_selections(&self) -> bool {
        self.sink.is_some() && logs::wants(Logger::ServerSelection)
    }

    pub fn command(&self, event: CommandEvent) {
        self.publish(true, || Event::Command(event)); // was wanted when the command began
    }

    pub fn pool(&self, make: impl FnOnce() -> PoolEvent) {
        let wanted = self.wanted.pool || logs::wants(Logger::Connection);
        self.publish(wanted, || Event::Pool(make()));
    }

    pub fn heartbeat(&self, make: impl FnOnce() -> HeartbeatEvent) {
        let wanted = self.wanted.heartbeat || logs::wants(Logger::Topology);
        self.publish(wanted, || Event::Heartbeat(make()));
    }

    pub fn selection(&self, make: impl FnOnce() -> SelectionEvent) {
        self.publish(true, || Event::Selection(make())); // was wanted when it began
    }

    pub fn retry(&self, make: impl FnOnce() -> RetryEvent) {
        self.publish(logs::wants(Logger::Command), || Event::Retry(make()));
    }

    /// `known`: how it ended. Only of a transaction that is noted in a transaction log.
    pub fn transaction(&self, known: bool, make: impl FnOnce() -> Vec<u8>) {
        let logger = if known { Logger::Transaction } else { Logger::UnknownTransaction };
        // Without an operation there may be no dispatcher that would deliver it.
        self.publish(logs::wants(logger) && own::is_collecting(), || Event::Transaction(make()));
    }

    pub fn topology(&self, id: ObjectId, make: impl FnOnce() -> Vec<TopologyChange>) {
        let logged = logs::wants(Logger::Topology);
        if !(self.wanted.server || self.wanted.topology || logged) {
            return;
        }
        for what in make() {
            let heard = match what.is_of_a_server() {
                true => self.wanted.server,
                false => self.wanted.topology,
            };
            self.publish(heard || logged, || Event::Topology(TopologyEvent { id, what }));
        }
    }

    fn publish(&self, wanted: bool, make: impl FnOnce() -> Event) {
        if let Some(sink) = &self.sink
            && wanted
        {
            sink(make());
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Publisher({:?})", self.wanted)
    }
}
