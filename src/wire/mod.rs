//! Bytes in, bytes out: OP_MSG requests and replies.

pub mod elements;
pub mod framer;
pub mod message;
pub mod reply;
