//! The events of the operation that runs on this thread. They are kept by the thread until it delivers
//! them itself, in the operation's context and before its result is returned. No other thread delivers
//! them.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Event;
use super::queue::Queue;
use crate::net::fork;

/// While it lives, events that this thread makes are an operation's. Operations nest: a listener, or
/// another callback of the user's, may use a client.
pub struct Collecting {
    /// Of the operation around this one.
    outer: Option<Own>,
    of_this_thread: PhantomData<*const ()>,
}

pub type Collected = Vec<(Arc<Queue>, Event)>;

struct Own {
    events: Collected,
    born_in: u64,
}

impl Collecting {
    pub fn begin() -> Collecting {
        let own = Own { events: Vec::new(), born_in: fork::generation() };
        Collecting { outer: OWN.replace(Some(own)), of_this_thread: PhantomData }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        let left = OWN.replace(self.outer.take());
        // They were not delivered because of an error: the dispatcher delivers them.
        for (queue, event) in left.map(Own::taken).unwrap_or_default() {
            queue.push(event);
        }
    }
}

/// Gives it to this thread's operation, or to the background if there is none.
pub fn push(queue: &Arc<Queue>, event: Event) {
    let left = OWN.with_borrow_mut(|own| match own {
        Some(own) => {
            own.events.push((queue.clone(), event));
            None
        }
        None => Some(event),
    });
    if let Some(event) = left {
        queue.push(event);
    }
}

pub fn is_empty() -> bool {
    OWN.with_borrow(|own| own.as_ref().is_none_or(|own| own.events.is_empty()))
}

pub fn take() -> Collected {
    OWN.with_borrow_mut(|own| {
        own.as_mut().map(|own| {
            let fresh = Own { events: Vec::new(), born_in: fork::generation() };
            std::mem::replace(own, fresh).taken()
        })
    })
    .unwrap_or_default()
}

impl Own {
    /// Nothing in a forked child: these are the parent's to deliver.
    fn taken(self) -> Collected {
        if self.born_in == fork::generation() { self.events } else { Vec::new() }
    }
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::topology::{TopologyChange, TopologyEvent};

    fn event() -> Event {
        let id = bson::oid::ObjectId::new();
        Event::Topology(TopologyEvent { id, what: TopologyChange::Opened })
    }

    #[test]
    fn events_belong_to_the_innermost_operation_of_the_thread() {
        let queue = Queue::new();
        let outer = Collecting::begin();
        push(&queue, event());
        {
            let _inner = Collecting::begin();
            assert!(is_empty());
            push(&queue, event());
            push(&queue, event());
            assert_eq!(take().len(), 2);
        }
        assert_eq!(take().len(), 1);
        assert!(is_empty());
        assert!(queue.take().is_none());
        drop(outer);
    }

    #[test]
    fn events_outside_of_an_operation_or_undelivered_go_to_the_queue() {
        let queue = Queue::new();
        push(&queue, event());
        assert!(queue.take().is_some());
        queue.done();
        let operation = Collecting::begin();
        push(&queue, event());
        drop(operation);
        assert!(queue.take().is_some());
    }
}
