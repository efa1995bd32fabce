//! One client's events on their way to its listeners: kept in order, handed out one at a time.
//!
//! Whoever takes an event delivers it, and nobody else gets the next one before `done`. Mostly that
//! is the thread whose operation made the events; for the others the bell wakes the dispatcher.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{Event, bell};
use crate::net::fork::PerProcess;

pub struct Queue {
    /// Names the queue; unique in the process.
    pub number: u64,
    /// What a fork finds here stays the parent's to deliver.
    books: PerProcess<Books>,
}

#[derive(Default)]
struct Books {
    state: Mutex<State>,
    /// Told when a delivery is done.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    /// How many events were ever pushed, and delivered.
    pushed: u64,
    delivered: u64,
    deliverer: Option<ThreadId>,
}

impl Queue {
    pub fn new() -> Arc<Queue> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Queue { number, books: PerProcess::default() })
    }

    /// From any thread; never waits for a listener.
    pub fn push(self: &Arc<Self>, event: Event) {
        {
            let books = self.books.get();
            let mut state = books.state.lock();
            state.waiting.push_back(event);
            state.pushed += 1;
        }
        note_own(self);
        bell::ring();
    }

    /// The next event, to be delivered by the caller, who then says `done`. `None` if there is none,
    /// if `upto` events have been delivered, or while somebody else (or the caller) delivers.
    pub fn take(&self, upto: Option<u64>) -> Option<Event> {
        let books = self.books.get();
        let mut state = books.state.lock();
        if state.deliverer.is_some() || upto.is_some_and(|upto| state.delivered >= upto) {
            return None;
        }
        let event = state.waiting.pop_front()?;
        state.deliverer = Some(thread::current().id());
        Some(event)
    }

    pub fn done(&self) {
        let books = self.books.get();
        let mut state = books.state.lock();
        if state.deliverer.take().is_none() {
            return; // taken by the parent of this fork
        }
        state.delivered += 1;
        let more = !state.waiting.is_empty();
        drop(state);
        books.moved.notify_all();
        if more {
            bell::ring();
        }
    }

    /// How many events were pushed: `take` and `wait_for_turn` count up to it.
    pub fn pushed(&self) -> u64 {
        self.books.get().state.lock().pushed
    }

    pub fn is_empty(&self) -> bool {
        let books = self.books.get();
        let state = books.state.lock();
        state.delivered >= state.pushed
    }

    /// True when some of the first `upto` events are left for the caller to deliver. False when all
    /// are delivered, when the caller is a listener itself, or when the limit has passed.
    pub fn wait_for_turn(&self, upto: u64, limit: Instant) -> bool {
        let books = self.books.get();
        let mut state = books.state.lock();
        while state.delivered < upto {
            match state.deliverer {
                None => return true,
                Some(deliverer) if deliverer == thread::current().id() => return false,
                Some(_) => {
                    if books.moved.wait_until(&mut state, limit).timed_out() {
                        return false;
                    }
                }
            }
        }
        false
    }
}

thread_local! {
    /// The queues that this thread has pushed to since `take_own`.
    static OWN: RefCell<Vec<Weak<Queue>>> = const { RefCell::new(Vec::new()) };
}

pub fn has_own() -> bool {
    OWN.with_borrow(|own| !own.is_empty())
}

pub fn take_own() -> Vec<Arc<Queue>> {
    OWN.take().iter().filter_map(Weak::upgrade).collect()
}

fn note_own(queue: &Arc<Queue>) {
    let queue = Arc::downgrade(queue);
    OWN.with_borrow_mut(|own| {
        if !own.iter().any(|known| known.ptr_eq(&queue)) {
            own.retain(|known| known.strong_count() > 0); // the control thread takes none
            own.push(queue);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::topology::{TopologyChange, TopologyEvent};

    fn event(number: u8) -> Event {
        let id = bson::oid::ObjectId::from_bytes([number; 12]);
        Event::Topology(TopologyEvent { id, what: TopologyChange::Opened })
    }

    fn number(event: Option<Event>) -> Option<u8> {
        match event? {
            Event::Topology(event) => Some(event.id.bytes()[0]),
            other => panic!("{other:?}"),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(10)
    }

    #[test]
    fn events_are_handed_out_in_order_and_one_at_a_time() {
        let queue = Queue::new();
        queue.push(event(1));
        queue.push(event(2));
        assert_eq!(number(queue.take(None)), Some(1));
        assert_eq!(number(queue.take(None)), None);
        queue.done();
        assert_eq!(number(queue.take(Some(1))), None);
        assert_eq!(number(queue.take(Some(2))), Some(2));
        assert!(!queue.is_empty());
        queue.done();
        assert!(queue.is_empty());
    }

    #[test]
    fn a_listener_that_makes_events_does_not_wait_for_itself() {
        let queue = Queue::new();
        queue.push(event(1));
        assert!(queue.wait_for_turn(queue.pushed(), soon()));
        assert_eq!(number(queue.take(None)), Some(1));
        queue.push(event(2));
        assert!(!queue.wait_for_turn(queue.pushed(), Instant::now() + Duration::from_secs(60)));
        queue.done();
        assert!(queue.wait_for_turn(queue.pushed(), soon()));
    }

    #[test]
    fn another_s_delivery_is_waited_for_but_not_for_long() {
        let queue = Queue::new();
        queue.push(event(1));
        let other = queue.clone();
        let taken = thread::spawn(move || number(other.take(None))).join().unwrap();
        assert_eq!(taken, Some(1));
        assert!(!queue.wait_for_turn(1, soon()));
        let other = queue.clone();
        let waiting = thread::spawn(move || {
            other.wait_for_turn(1, Instant::now() + Duration::from_secs(60));
            other.is_empty()
        });
        queue.done();
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_thread_knows_the_queues_it_has_pushed_to() {
        let queue = Queue::new();
        assert!(!has_own());
        queue.push(event(1));
        queue.push(event(2));
        thread::spawn(|| assert!(!has_own())).join().unwrap();
        assert!(has_own());
        assert_eq!(take_own().len(), 1);
        assert!(!has_own());
    }
}
