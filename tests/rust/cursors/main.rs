//! Cursors against a scripted primary.

mod abandoned;
mod batches;
mod read_ahead;
mod scene;
#[path = "../scripted_server/mod.rs"]
mod scripted_server;
