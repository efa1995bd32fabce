//! The control room: monitoring and upkeep, on one background thread. It alone names tokio and `mongodb`.

pub mod monitors;
