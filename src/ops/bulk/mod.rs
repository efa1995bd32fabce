//! Writes of many statements, to one collection or (MongoDB 8.0) to several: how many fit into one message, what
//! is sent next, and what came of it.

pub mod batch;
pub mod client;
pub mod client_batch;
pub mod client_totals;
pub mod collection;
pub mod destination;
pub mod limits;
pub mod operation;
pub mod positions;
pub mod progress;
pub mod totals;
pub mod verb;
