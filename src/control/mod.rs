//! The background thread: topology monitors, probes, name look-ups and pool upkeep. The one room
//! that names `tokio` and the `mongodb` crate; it never takes the GIL.

pub mod cluster;
pub mod driver;
pub mod monitors;
pub mod thread;
