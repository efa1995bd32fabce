//! The wait set: what a pending future waits for, noted while its driver polls it.
//!
//! It lives in a thread-local for the length of one poll, because `Context` has no room for it.
//! Every poll starts with an empty set and every leaf future notes its wish anew, so `join!` and
//! `select!` overlap their waits. Gates (a pool slot, a new topology) use the ordinary `Waker`.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::lane::Lane;
use super::stream::Stream;
use crate::deadline::Deadline;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
}

#[derive(Default)]
pub struct WaitSet {
    pub sockets: Vec<(Arc<Stream>, Interest)>,
    pub deadline: Option<Instant>,
    /// Somebody will call the waker.
    pub gate: bool,
    /// The event loop this poll happens in; `None` on the blocking and the control driver.
    pub lane: Option<Arc<Lane>>,
    /// The poll's thread does nothing else until the future has ended: signal handlers and finalizers run
    /// on top of it.
    pub blocks_thread: bool,
}

thread_local! {
    static CURRENT: RefCell<WaitSet> = RefCell::default();
}

/// Polls `future` once for a driver, leaving in `set` what it waits for.
pub fn poll<F: Future + ?Sized>(
    set: &mut WaitSet,
    waker: &Waker,
    future: Pin<&mut F>,
) -> Poll<F::Output> {
    set.sockets.clear();
    set.deadline = None;
    set.gate = false;
    CURRENT.with_borrow_mut(|current| std::mem::swap(current, set));
    // A panic in `future` must not leave this driver's set behind.
    struct Restore<'a>(&'a mut WaitSet);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| std::mem::swap(current, self.0));
        }
    }
    let _restore = Restore(set);
    future.poll(&mut Context::from_waker(waker))
}

pub fn on_socket(socket: Arc<Stream>, interest: Interest) {
    CURRENT.with_borrow_mut(|set| set.sockets.push((socket, interest)));
}

pub fn on_deadline(at: Instant) {
    CURRENT.with_borrow_mut(|set| {
        set.deadline = Some(set.deadline.map_or(at, |earlier| earlier.min(at)));
    });
}

/// The event loop that the running poll belongs to.
pub fn current_lane() -> Option<Arc<Lane>> {
    CURRENT.with_borrow(|set| set.lane.clone())
}

/// Whether the running poll is of a call that blocks its thread.
pub fn blocks_thread() -> bool {
    CURRENT.with_borrow(|set| set.blocks_thread)
}

/// Waits for a future that is woken by its `Waker` (a channel, an event).
pub async fn gate<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            CURRENT.with_borrow_mut(|set| set.gate = true);
        }
        polled
    })
    .await
}

/// `None` when the deadline passes first.
pub async fn until<F: Future>(deadline: Deadline, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        match deadline.instant() {
            None => Poll::Pending,
            Some(at) if at <= Instant::now() => Poll::Ready(None),
            Some(at) => {
                on_deadline(at);
                Poll::Pending
            }
        }
    })
    .await
}

pub async fn sleep(deadline: Deadline) {
    until(deadline, std::future::pending::<()>()).await;
}

/// In the middle of much work: lets other tasks of the event loop run.
pub async fn yield_to_loop() {
    if current_lane().is_none() {
        return;
    }
    let mut yielded = false;
    poll_fn(|_| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        on_deadline(Instant::now());
        Poll::Pending
    })
    .await;
}
