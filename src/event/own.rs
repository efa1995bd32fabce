//! What the operation that runs on this thread has for Python: its events, and its questions. They are kept by the
//! thread until it delivers them itself, in the operation's context and before its result is returned. No other
//! thread delivers them.
//!
//! Operations nest: a listener, or another callback of the user's, may use a client. With gevent and
//! eventlet the greenlets of a thread take turns wherever Python code runs, so operations may also end in
//! another order than they began. After Python ran, an operation is made the current one again (`resume`).

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Event;
use super::question::Question;
use super::queue::Queue;
use crate::net::fork;

/// While it lives, events that this thread makes are an operation's.
pub struct Collecting {
    own: Current,
    /// What was current when it began.
    outer: Current,
    of_this_thread: PhantomData<*const ()>,
}

/// Names the operation whose events are collected, if there is one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Current(u64);

pub type Collected = Vec<(Arc<Queue>, Event)>;

/// Of one thread.
#[derive(Default)]
struct Books {
    current: Current,
    latest: u64,
    /// Of all operations under way, in the order in which they began.
    open: Vec<Own>,
}

struct Own {
    of: Current,
    events: Collected,
    questions: Vec<Question>,
    born_in: u64,
}

impl Collecting {
    pub fn begin() -> Collecting {
        BOOKS.with_borrow_mut(|books| {
            books.latest += 1;
            let own = Current(books.latest);
            books.open.push(Own {
                of: own,
                events: Vec::new(),
                questions: Vec::new(),
                born_in: fork::generation(),
            });
            let outer = std::mem::replace(&mut books.current, own);
            Collecting { own, outer, of_this_thread: PhantomData }
        })
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        let left = BOOKS.with_borrow_mut(|books| {
            books.current = self.outer;
            let at = books.open.iter().rposition(|own| own.of == self.own)?;
            Some(books.open.remove(at))
        });
        // They were not delivered because of an error: the dispatcher delivers them.
        for (queue, event) in left.map(Own::taken).unwrap_or_default() {
            queue.push(event);
        }
    }
}

/// Gives it to this thread's operation, or to the background if there is none.
pub fn push(queue: &Arc<Queue>, event: Event) {
    let left = BOOKS.with_borrow_mut(|books| match books.own() {
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

/// Whether an operation of this thread will deliver what is pushed.
pub fn is_collecting() -> bool {
    BOOKS.with_borrow_mut(|books| books.own().is_some())
}

/// False, and it is dropped, if this thread runs no operation that could answer.
pub fn ask(question: Question) -> bool {
    let refused = BOOKS.with_borrow_mut(|books| match books.own() {
        Some(own) => {
            own.questions.push(question);
            None
        }
        None => Some(question), // not dropped within the borrow
    });
    refused.is_none()
}

pub fn is_empty() -> bool {
    BOOKS.with_borrow_mut(|books| {
        books.own().is_none_or(|own| own.events.is_empty() && own.questions.is_empty())
    })
}

/// The events, and the questions. In a forked child there are none: they are the parent's.
pub fn take() -> (Collected, Vec<Question>) {
    BOOKS.with_borrow_mut(|books| {
        let Some(own) = books.own() else { return Default::default() };
        let of_parent = own.born_in != fork::generation();
        own.born_in = fork::generation();
        let (events, questions) =
            (std::mem::take(&mut own.events), std::mem::take(&mut own.questions));
        if of_parent {
            // What they would wake, or lock, is the parent's.
            std::mem::forget(questions);
            return Default::default();
        }
        (events, questions)
    })
}

/// To be given to `resume` when Python code has run.
pub fn current() -> Current {
    BOOKS.with_borrow(|books| books.current)
}

pub fn resume(current: Current) {
    BOOKS.with_borrow_mut(|books| books.current = current);
}

/// Other greenlets of this thread have their turn: their events do not belong to this operation.
pub fn leave() {
    resume(Current::default());
}

impl Books {
    /// `None` too if the current operation has ended, in another greenlet.
    fn own(&mut self) -> Option<&mut Own> {
        self.open.iter_mut().rfind(|own| own.of == self.current)
    }
}

impl Own {
    /// Nothing in a forked child: these are the parent's to deliver.
    fn taken(self) -> Collected {
        if self.born_in == fork::generation() { self.events } else { Vec::new() }
    }
}

thread_local! {
    static BOOKS: RefCell<Books> = const {
        RefCell::new(Books { current: Current(0), latest: 0, open: Vec::new() })
    };
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
            assert_eq!(take().0.len(), 2);
        }
        assert_eq!(take().0.len(), 1);
        assert!(is_empty());
        assert!(queue.take(1).is_none());
        drop(outer);
    }

    #[test]
    fn events_outside_of_an_operation_or_undelivered_go_to_the_queue() {
        let queue = Queue::new();
        push(&queue, event());
        assert!(queue.take(1).is_some());
        queue.done();
        let operation = Collecting::begin();
        push(&queue, event());
        drop(operation);
        assert!(queue.take(1).is_some());
    }

    #[test]
    fn greenlets_end_their_operations_in_any_order() {
        let queue = Queue::new();
        let first = Collecting::begin();
        let of_first = current();
        // The first greenlet's listener lets another one run, which begins in the same way.
        let second = Collecting::begin();
        let of_second = current();
        push(&queue, event());
        resume(of_first);
        assert!(is_empty());
        push(&queue, event());
        push(&queue, event());
        assert_eq!(take().0.len(), 2);
        drop(first);
        resume(of_second);
        assert_eq!(take().0.len(), 1);
        push(&queue, event());
        drop(second);
        assert!(queue.take(1).is_some(), "undelivered");
        queue.done();
        push(&queue, event());
        assert!(
            queue.take(1).is_some(),
            "the first operation has ended, though it was the outer one"
        );
        queue.done();
        let third = Collecting::begin();
        let of_third = current();
        leave();
        push(&queue, event());
        assert!(queue.take(1).is_some(), "no operation's");
        resume(of_third);
        assert!(is_empty());
        drop(third);
    }
}
