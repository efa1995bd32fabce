//! The blocking driver: polls a future on the caller's thread and sleeps in poll(2) between.

use std::cell::RefCell;
use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::fork::Descriptor;
use super::wait::{self, Interest, WaitSet};

/// Where the caller may be wanted elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The future waits.
    Before,
    /// It has waited for a slice of time, or until a signal.
    Within,
}

/// Runs `future` until it ends or `leave` says so: it is left as it is and `None` returned. It may then be
/// run again.
pub fn run<F: Future + ?Sized>(
    mut future: Pin<&mut F>,
    mut leave: impl FnMut(Pause) -> bool,
) -> Option<F::Output> {
    let mut parker = Parker::of_this_thread();
    let mut waker = Waker::from(parker.clone());
    let mut set = WaitSet { blocks_thread: true, ..WaitSet::default() };
    loop {
        if let Poll::Ready(value) = wait::poll(&mut set, &waker, future.as_mut()) {
            return Some(value);
        }
        if leave(Pause::Before) {
            return None;
        }
        // After a slice the future is polled too: a signal handler may itself have waited on this
        // thread, and have taken a wake-up that was meant for us.
        match sleep(&set, &parker) {
            Woken::Maybe => {}
            Woken::Slice if leave(Pause::Within) => return None,
            Woken::Slice => {}
            Woken::BellLost => {
                parker.forget();
                parker = Parker::of_this_thread();
                waker = Waker::from(parker.clone());
            }
        }
    }
}

enum Woken {
    /// The future may be able to continue.
    Maybe,
    /// After a slice or a signal.
    Slice,
    /// The program has closed the eventfd, by its number.
    BellLost,
}

fn sleep(set: &WaitSet, parker: &Parker) -> Woken {
    let mut pause = SLICE;
    if let Some(at) = set.deadline {
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Woken::Maybe;
        }
        pause = pause.min(left);
    }
    let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(set.sockets.len() + 1);
    for (stream, interest) in &set.sockets {
        let flags = match interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
        };
        polled.push(PollFd::from_borrowed_fd(stream.as_fd(), flags));
    }
    if set.gate {
        polled.push(PollFd::from_borrowed_fd(parker.bell.as_fd(), PollFlags::IN));
    }
    let timeout = Timespec::try_from(pause).expect("a slice is short");
    match rustix::event::poll(&mut polled, Some(&timeout)) {
        Ok(0) if set.deadline.is_some_and(|at| at <= Instant::now()) => Woken::Maybe,
        Ok(0) | Err(Errno::INTR) => Woken::Slice,
        _ if set.gate && polled.last().is_some_and(|bell| bell.revents() == PollFlags::NVAL) => {
            Woken::BellLost
        }
        _ => {
            if set.gate {
                let _ = rustix::io::read(&parker.bell, &mut [0; 8]);
            }
            Woken::Maybe
        }
    }
}

/// How other threads end this thread's sleep; made once per thread, and again after a fork.
struct Parker {
    bell: Descriptor,
}

thread_local! {
    static PARKER: RefCell<Option<Arc<Parker>>> = const { RefCell::new(None) };
}

impl Parker {
    fn of_this_thread() -> Arc<Parker> {
        PARKER.with_borrow_mut(|slot| match slot {
            Some(parker) if !parker.bell.is_inherited() => parker.clone(),
            _ => {
                let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
                    .expect("the process is out of file descriptors");
                let parker = Arc::new(Parker { bell: Descriptor::new(bell) });
                *slot = Some(parker.clone());
                parker
            }
        })
    }
}

impl Parker {
    /// Never dropped: the number may be another file's by now.
    fn forget(self: Arc<Self>) {
        PARKER.take();
        self.bell.was_closed();
        std::mem::forget(self);
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        if !self.bell.is_inherited() {
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }
}

/// Python's signal handlers run at least this often.
const SLICE: Duration = Duration::from_millis(100);
