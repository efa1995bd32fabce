//! What happened, as plain values, and who wants to hear of it. Without a listener nothing is built.

pub mod command;
pub mod heartbeat;
pub mod logs;
pub mod own;
pub mod pool;
mod publisher;
pub mod question;
pub mod queue;
mod raw_batches;
pub mod selection;
pub mod topology;

pub use publisher::{Event, Publisher, Sink, Wanted};
