//! What happened, as plain values, and who wants to hear of it. Without a listener nothing is built.

pub mod pool;

use std::fmt;
use std::sync::Arc;

use self::pool::PoolEvent;

#[derive(Clone, Debug)]
pub enum Event {
    Pool(PoolEvent),
}

/// The kinds of events that somebody listens to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub pool: bool,
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

    pub fn pool(&self, make: impl FnOnce() -> PoolEvent) {
        if let Some(sink) = &self.sink
            && self.wanted.pool
        {
            sink(Event::Pool(make()));
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Publisher({:?})", self.wanted)
    }
}
