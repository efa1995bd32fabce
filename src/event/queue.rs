//! The background events of one client, in order, for the client's dispatcher thread: changes of the
//! topology, heartbeats, upkeep. Events of operations do not come here: see `own`.
//!
//! The queue is bounded: background tasks wait for `room` before they publish. An operation
//! never waits, so the changes of the topology that it causes may exceed the bound. They are few.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_listener::Event as Signal;

use super::Event;
use super::pool::PoolChange;
use crate::deadline::Deadline;
use crate::net::fork::PerProcess;
use crate::net::wait;
use crate::sync::{Condvar, Mutex};

/// A thread, or a greenlet where the threads of the program are such: Python's `threading.get_ident()`.
pub type Ident = u64;

pub struct Queue {
    /// Names the queue; unique in the process.
    pub number: u64,
    /// What a fork finds here stays the parent's to deliver.
    books: PerProcess<Books>,
}

#[derive(Default)]
struct Books {
    state: Mutex<State>,
    /// Notified when an event was pushed or delivered, and at the end.
    moved: Condvar,
    /// Notified when an event was delivered.
    delivered: Signal,
    /// Notified when an event was pushed, and at the end.
    arrived: Signal,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    /// Roughly, of those that wait.
    bytes: usize,
    /// How many events were ever pushed, and delivered.
    pushed: u64,
    delivered: u64,
    deliverer: Option<Ident>,
    /// The number of the latest `PoolReady` or `PoolCleared` event.
    pool_changed: u64,
    /// No more events will come, or no event is to be delivered.
    ended: bool,
    stopped: bool,
}

impl Queue {
    pub fn new() -> Arc<Queue> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Queue { number, books: PerProcess::default() })
    }

    /// From any thread; never waits.
    pub fn push(&self, event: Event) {
        let books = self.books.get();
        let mut state = books.state.lock();
        state.pushed += 1;
        state.bytes += event.size();
        if let Event::Pool(event) = &event
            && matches!(event.what, PoolChange::PoolReady | PoolChange::PoolCleared { .. })
        {
            state.pool_changed = state.pushed;
        }
        state.waiting.push_back(event);
        drop(state);
        books.moved.notify_all();
        books.arrived.notify(usize::MAX);
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.books.get().state.lock().waiting.len()
    }

    pub fn is_full(&self) -> bool {
        let books = self.books.get();
        let state = books.state.lock();
        state.waiting.len() >= MOST_EVENTS || state.bytes >= MOST_BYTES
    }

    /// Waits until the queue is not full.
    pub async fn room(&self) {
        loop {
            let books = self.books.get();
            let delivered = books.delivered.listen();
            let delivers = {
                let state = books.state.lock();
                !state.ended && !state.stopped
            };
            if !delivers || !self.is_full() {
                return;
            }
            wait::gate(delivered).await;
        }
    }

    /// Waits until all is delivered that was pushed before, unless the caller is the dispatcher.
    pub async fn drained(&self, caller: Ident) {
        let books = self.books.get();
        let upto = books.state.lock().pushed;
        loop {
            let delivered = books.delivered.listen();
            {
                let state = books.state.lock();
                let own = state.deliverer == Some(caller);
                if state.delivered >= upto || state.stopped || own {
                    return;
                }
            }
            wait::gate(delivered).await;
        }
    }

    /// Blocks the dispatcher until there is an event. False once there will be none.
    pub fn wait(&self) -> bool {
        let books = self.books.get();
        let mut state = books.state.lock();
        loop {
            match state.arrival() {
                Some(arrived) => return arrived,
                None => state = books.moved.wait(state),
            }
        }
    }

    /// The same for a dispatcher whose thread has other work.
    pub async fn arrival(&self) -> bool {
        loop {
            let books = self.books.get();
            let signal = books.arrived.listen();
            let arrived = books.state.lock().arrival();
            match arrived {
                Some(arrived) => return arrived,
                None => wait::gate(signal).await,
            }
        }
    }

    /// The next event, to be delivered by the dispatcher, which is the caller and then calls `done`.
    pub fn take(&self, caller: Ident) -> Option<Event> {
        let books = self.books.get();
        let mut state = books.state.lock();
        if state.stopped {
            return None;
        }
        let event = state.waiting.pop_front()?;
        state.bytes -= event.size();
        state.deliverer = Some(caller);
        Some(event)
    }

    pub fn done(&self) {
        let books = self.books.get();
        let mut state = books.state.lock();
        if state.deliverer.take().is_none() {
            return; // taken by the parent of this fork
        }
        state.delivered += 1;
        drop(state);
        books.moved.notify_all();
        books.delivered.notify(usize::MAX);
    }

    /// The client is closed: the dispatcher shall deliver what is left, and end.
    pub fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// Nothing shall be delivered any more: the interpreter ends.
    pub fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// Wakes all who wait.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let books = self.books.get();
        change(&mut books.state.lock());
        books.moved.notify_all();
        books.delivered.notify(usize::MAX);
        books.arrived.notify(usize::MAX);
    }

    pub fn is_pool_change_untold(&self) -> bool {
        let books = self.books.get();
        let state = books.state.lock();
        state.delivered < state.pool_changed
    }

    pub fn is_delivering(&self, caller: Ident) -> bool {
        self.books.get().state.lock().deliverer == Some(caller)
    }

    /// Called before an operation delivers what it did with a pool: listeners receive first that the pool is ready,
    /// or that it was cleared. Waits for the dispatcher for a limited time, and only once: a listener may not return.
    pub fn wait_for_pool_change(&self) {
        let books = self.books.get();
        let mut state = books.state.lock();
        let until = Instant::now() + CHANGE_WITHIN;
        while state.delivered < state.pool_changed && !state.stopped {
            let left = until.saturating_duration_since(Instant::now());
            let over;
            (state, over) = books.moved.wait_timeout(state, left);
            if over {
                state.pool_changed = 0;
            }
        }
    }

    /// The same where the dispatcher is a greenlet of this thread.
    pub async fn pool_change_told(&self) {
        let until = Deadline::after(Instant::now(), Some(CHANGE_WITHIN));
        let told = wait::until(until, async {
            loop {
                let books = self.books.get();
                let signal = books.delivered.listen();
                {
                    let state = books.state.lock();
                    if state.delivered >= state.pool_changed || state.stopped {
                        return;
                    }
                }
                wait::gate(signal).await;
            }
        });
        if told.await.is_none() {
            self.books.get().state.lock().pool_changed = 0;
        }
    }
}

impl State {
    /// Whether there is an event to deliver, once that is known.
    fn arrival(&self) -> Option<bool> {
        let is_known = !self.waiting.is_empty() || self.ended || self.stopped;
        is_known.then_some(!self.stopped && !self.waiting.is_empty())
    }
}

const MOST_EVENTS: usize = 1000;
const MOST_BYTES: usize = 8 * 1024 * 1024;
const CHANGE_WITHIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::thread;

    use super::*;
    use crate::event::pool::PoolEvent;
    use crate::event::topology::{TopologyChange, TopologyEvent};
    use crate::topology::address::Address;

    fn event(number: u8) -> Event {
        let id = bson::oid::ObjectId::from_bytes([number; 12]);
        Event::Topology(TopologyEvent { id, what: TopologyChange::Opened })
    }

    fn of_pool(what: PoolChange) -> Event {
        Event::Pool(PoolEvent { address: Address::tcp("a", 1).unwrap(), what })
    }

    fn number(event: Option<Event>) -> Option<u8> {
        match event? {
            Event::Topology(event) => Some(event.id.bytes()[0]),
            other => panic!("{other:?}"),
        }
    }

    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn events_are_returned_in_order() {
        let queue = Queue::new();
        queue.push(event(1));
        queue.push(event(2));
        assert!(queue.wait());
        assert_eq!(number(queue.take(1)), Some(1));
        queue.done();
        assert_eq!(number(queue.take(1)), Some(2));
        queue.done();
        assert_eq!(number(queue.take(1)), None);
        queue.end();
        assert!(!queue.wait());
    }

    #[test]
    fn background_tasks_wait_for_room() {
        let queue = Queue::new();
        for _ in 1..MOST_EVENTS {
            queue.push(event(1));
        }
        assert!(is_ready(queue.room()));
        queue.push(event(1));
        assert!(queue.is_full());
        assert!(!is_ready(queue.room()));
        let other = queue.clone();
        let waiting =
            thread::spawn(move || crate::net::blocking::run(pin!(other.room()), |_| false));
        queue.take(1);
        queue.done();
        assert!(waiting.join().unwrap().is_some());
    }

    #[test]
    fn waiting_for_pool_changes_is_limited() {
        let queue = Queue::new();
        queue.push(event(1));
        assert!(!queue.is_pool_change_untold());
        queue.push(of_pool(PoolChange::PoolReady));
        assert!(queue.is_pool_change_untold());
        queue.wait_for_pool_change();
        assert!(!queue.is_pool_change_untold(), "given up");
        queue.push(of_pool(PoolChange::PoolCleared {
            service_id: None,
            interrupt_connections: true,
        }));
        let other = queue.clone();
        let dispatcher = thread::spawn(move || {
            while other.take(1).is_some() {
                assert!(other.is_delivering(1) && !other.is_delivering(2));
                other.done();
            }
        });
        queue.wait_for_pool_change();
        dispatcher.join().unwrap();
        assert!(!queue.is_pool_change_untold());
    }

    #[test]
    fn a_client_that_closes_waits_for_what_was_pushed() {
        let queue = Queue::new();
        assert!(is_ready(queue.drained(1)));
        queue.push(event(1));
        assert!(!is_ready(queue.drained(1)));
        queue.take(1);
        assert!(is_ready(queue.drained(1)), "a listener that closes its client");
        let other = queue.clone();
        assert!(!is_ready(other.drained(2)));
        queue.done();
        assert!(is_ready(queue.drained(1)));
    }
}
