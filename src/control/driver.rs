//! The third driver: core futures on the control thread, waiting through tokio.

use std::future::{Future, poll_fn};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::Interest as TokioInterest;
use tokio::io::unix::AsyncFd;

use crate::net::stream::Stream;
use crate::net::wait::{self, Interest, WaitSet};

/// Runs a core future as a tokio task. Sockets are registered for one wait only: they may go on to
/// live on another driver.
pub async fn run_on_tokio<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut set = WaitSet::default();
    loop {
        let polled =
            poll_fn(|context| Poll::Ready(wait::poll(&mut set, context.waker(), future.as_mut())));
        if let Poll::Ready(value) = polled.await {
            return value;
        }
        any_of(&set).await;
    }
}

async fn any_of(set: &WaitSet) {
    let watched: Vec<_> = set
        .sockets
        .iter()
        .filter_map(|(stream, interest)| {
            let wanted = match interest {
                Interest::Read => TokioInterest::READABLE,
                Interest::Write => TokioInterest::WRITABLE,
            };
            // SAFETY: the stream keeps its socket open, and the same, while `Watched` holds it.
            let watched =
                unsafe { AsyncFd::register_with_interest(Watched(stream.clone()), wanted) }.ok()?;
            Some((watched, *interest))
        })
        .collect();
    if watched.len() < set.sockets.len() {
        return tokio::task::yield_now().await; // cannot be watched: let the future try again
    }
    let mut timer = pin!(set.deadline.map(|at| tokio::time::sleep_until(at.into())));
    let mut looked = false;
    poll_fn(|context| {
        // The second poll means that something woke us: a socket, the clock or a gate's waker.
        if std::mem::replace(&mut looked, true) {
            return Poll::Ready(());
        }
        for (socket, interest) in &watched {
            let ready = match interest {
                Interest::Read => socket.poll_read_ready(context).is_ready(),
                Interest::Write => socket.poll_write_ready(context).is_ready(),
            };
            if ready {
                return Poll::Ready(());
            }
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(context),
            None => Poll::Pending,
        }
    })
    .await
}

struct Watched(Arc<Stream>);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd()
    }
}
