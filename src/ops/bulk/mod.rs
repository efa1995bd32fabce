//! Writes of many statements: which command carries them, and how many fit into one message.

pub mod limits;
pub mod verb;
