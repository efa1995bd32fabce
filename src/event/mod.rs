//! What happened, as plain values, and who wants to hear of it. Without a listener nothing is built.

pub mod bell;
pub mod command;
pub mod heartbeat;
pub mod pool;
pub mod queue;
pub mod topology;

use std::fmt;
use std::sync::Arc;

use bson::oid::ObjectId;

use self::command::CommandEvent;
use self::heartbeat::HeartbeatEvent;
use self::pool::PoolEvent;
use self::topology::{TopologyChange, TopologyEvent};

#[derive(Clone, Debug)]
pub enum Event {
    Pool(PoolEvent),
    Topology(TopologyEvent),
    Heartbeat(HeartbeatEvent),
    Command(CommandEvent),
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

/// Where a client's events go. The default tells nobody.
#[derive(Clone, Default)]
pub struct Publisher {
    wanted: Wanted,
    sink: Option<Sink>,
}

impl Publisher {
    pub fn new(wanted: Wanted, sink: Sink) -> Publisher {
        Publisher { wanted, sink: Some(sink) }
    }

    pub fn has_listeners(&self) -> bool {
        self.sink.is_some()
    }

    pub fn wants_commands(&self) -> bool {
        self.wanted.command
    }

    pub fn command(&self, event: CommandEvent) {
        self.publish(self.wanted.command, || Event::Command(event));
    }

    pub fn pool(&self, make: impl FnOnce() -> PoolEvent) {
        self.publish(self.wanted.pool, || Event::Pool(make()));
    }

    pub fn heartbeat(&self, make: impl FnOnce() -> HeartbeatEvent) {
        self.publish(self.wanted.heartbeat, || Event::Heartbeat(make()));
    }

    pub fn topology(&self, id: ObjectId, make: impl FnOnce() -> Vec<TopologyChange>) {
        if !(self.wanted.server || self.wanted.topology) {
            return;
        }
        for what in make() {
            let wanted = match what.is_of_a_server() {
                true => self.wanted.server,
                false => self.wanted.topology,
            };
            self.publish(wanted, || Event::Topology(TopologyEvent { id, what }));
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
