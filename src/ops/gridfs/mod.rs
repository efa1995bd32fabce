//! GridFS's chunks: a file cut into them and inserted, and read back from them. File documents are Python's part.

pub mod cutter;
pub mod download;
pub mod plan;
pub mod upload;
