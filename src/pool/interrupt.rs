//! Whom a clear interrupts when its server no longer answers: connections in use, and those being
//! made. Otherwise their callers would wait for the end of their own timeouts.

use std::sync::{Arc, Weak};

use event_listener::{Event, EventListener};

use super::generation::Generation;
use crate::net::stream::Stream;
use crate::sync::Mutex;

#[derive(Default)]
pub struct Interruptible {
    /// Every connection from its making on, so that lending it costs nothing.
    streams: Mutex<Vec<(Weak<Stream>, Generation)>>,
    dials: Event,
}

impl Interruptible {
    pub fn watch(&self, stream: &Arc<Stream>, generation: Generation) {
        let mut streams = self.streams.lock();
        streams.retain(|(stream, _)| stream.strong_count() > 0);
        streams.push((Arc::downgrade(stream), generation));
    }

    /// Ends the connections that are stale: whoever waits for one sees it closed.
    pub fn interrupt(&self, is_stale: impl Fn(Generation) -> bool) {
        let mut ended = Vec::new();
        self.streams.lock().retain(|(stream, generation)| {
            let stale = is_stale(*generation);
            ended.extend(stream.upgrade().filter(|_| stale));
            !stale
        });
        ended.iter().for_each(|stream| stream.shutdown());
        self.wake_dials();
    }

    /// Those who are making a connection look whether they still should.
    pub fn wake_dials(&self) {
        self.dials.notify(usize::MAX);
    }

    /// To be made before the dial: no interruption is missed then.
    pub fn listen(&self) -> EventListener {
        self.dials.listen()
    }
}
