//! Bytes in, bytes out: OP_MSG requests and replies, compressed or not.

pub mod compression;
pub mod compressor;
pub mod elements;
pub mod framer;
pub mod message;
pub mod reply;
