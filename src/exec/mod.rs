//! Running one operation: select a server, check out a connection, send, read, and try again.

pub mod client;
mod exchange;
pub mod extras;
pub mod operation;
pub mod pin;
pub mod retry;
pub mod run;
pub mod seed_lookup;
pub mod select;
pub mod size;
