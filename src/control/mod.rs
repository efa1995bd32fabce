//! The background thread: topology monitors, probes, name look-ups and pool upkeep. The one room
//! that names `tokio` and the `mongodb` crate; it never takes the GIL.

mod application_error;
pub mod cluster;
pub mod driver;
pub mod monitors;
mod opening;
mod polling;
mod probing;
mod signal_pipe;
pub mod thread;
pub mod upkeep;
mod watching;
