//! The topology room: what is known about a deployment, as plain values. No I/O, no clock, no Python.
//!
//! Hello replies come in (`hello`), the discovery rules make the next snapshot (`reduce`, `error_rules`),
//! and an operation picks a server from a snapshot (`selection`).

pub mod address;
pub mod as_hello;
pub mod error_rules;
pub mod hello;
pub mod read_preference;
pub mod reduce;
pub mod round_trips;
pub mod selection;
pub mod server;
pub mod snapshot;
mod staleness;
pub mod summary;
