//! Server cursors: the batch in a reply, the next batch, the end.

pub mod ahead;
pub mod batch;
pub mod close;
pub mod fetch;
pub mod get_more;
pub mod server_cursor;
pub mod state;
pub mod unread;
