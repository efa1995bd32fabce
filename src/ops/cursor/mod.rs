//! Server cursors: the batch in a reply, the next batch, the end.

pub mod batch;
pub mod close;
pub mod get_more;
