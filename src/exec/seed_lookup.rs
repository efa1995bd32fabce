//! What a client has to look up before it knows its servers (`mongodb+srv://`), and who waits for it.
//!
//! The looking up is somebody else's: it is handed in, told to start by the first operation that
//! needs it, and answers from any thread. A failure is told to those who wait and then forgotten.

use std::sync::{Arc, OnceLock};

use crate::event::question::Callback;
use crate::sync::Mutex;
use futures_channel::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::net::wait;
use crate::settings::Settings;

/// Begins to look up, without waiting for it.
pub type Start = Callback<Answer, ()>;

pub struct SeedLookup {
    before: Arc<Settings>,
    start: Start,
    found: OnceLock<Arc<Settings>>,
    /// Not empty while a look-up is under way.
    waiting: Mutex<Vec<oneshot::Sender<Result<Arc<Settings>>>>>,
}

impl SeedLookup {
    pub fn new(before: Arc<Settings>, start: Start) -> Arc<SeedLookup> {
        let waiting = Mutex::default();
        Arc::new(SeedLookup { before, start, found: OnceLock::new(), waiting })
    }

    /// The client's settings with everything known that a look-up tells.
    pub async fn settings(self: &Arc<Self>) -> Result<Arc<Settings>> {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock();
            if let Some(found) = self.found.get() {
                return Ok(found.clone());
            }
            waiting.push(tell);
            waiting.len() == 1
        };
        if is_first {
            // Whatever becomes of it, the answer tells those who wait.
            let _ = self.start.ask(Answer(Some(self.clone()))).await;
        }
        let closed = |_| Err(Error::client_closed(&self.before.client_class));
        wait::gate(told).await.unwrap_or_else(closed)
    }

    /// The client was closed: whoever waits is told so.
    pub fn abandon(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        drop(waiting);
    }
}

/// Where the result of one look-up goes. Dropped without one, it tells that.
pub struct Answer(Option<Arc<SeedLookup>>);

impl Answer {
    pub fn give(mut self, result: Result<Settings>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<Settings>) {
        let Some(lookup) = self.0.take() else { return };
        let result = result.map(|found| Arc::new(lookup.before.looked_up(found)));
        let waiting = {
            let mut waiting = lookup.waiting.lock();
            if let Ok(settings) = &result {
                let _ = lookup.found.set(settings.clone());
            }
            std::mem::take(&mut *waiting)
        };
        for one in waiting {
            let _ = one.send(result.clone()); // a cancelled operation does not listen any more
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let text = "the look-up of the servers ended without an answer";
        self.tell(Err(Error::new(ErrorKind::Configuration, text)));
    }
}
