//! Server commands that the engine itself makes or reads.

pub mod bulk;
pub mod change_stream;
pub mod cursor;
pub mod end_sessions;
pub mod gridfs;
pub mod log_collection;
pub mod marker;
pub mod transaction;
