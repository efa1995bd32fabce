//! Waiting on sockets, clocks and gates; nothing here has heard of MongoDB.
//!
//! A future that cannot go on notes in the current wait set what would help, and returns
//! `Pending`. Whoever polls it (a driver) does the waiting: `blocking` with poll(2) on the caller's
//! thread, the event loop through `event_loop`, the control thread over tokio.

pub mod blocking;
pub mod buffers;
pub mod event_loop;
pub mod fork;
pub mod signals;
pub mod stream;
pub mod tls;
pub mod wait;
