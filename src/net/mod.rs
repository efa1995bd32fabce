//! Waiting on sockets, clocks and gates; nothing here has heard of MongoDB.
//!
//! A future that cannot go on notes in the current wait set what would help, and returns
//! `Pending`. Whoever polls it (a driver) does the waiting: `blocking` with poll(2) on the caller's
//! thread, an event loop through its `lane`, the control thread over tokio.

pub mod blocking;
pub mod buffers;
pub mod connect;
pub mod fork;
pub mod inbox;
pub mod lane;
pub mod signals;
pub mod stream;
pub mod tls;
pub mod wait;
