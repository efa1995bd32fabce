//! The transaction log: what each transaction did and how it ended, in memory, in a file or in a collection.

mod disk;
pub mod entry;
pub mod file;
#[cfg(test)]
mod file_tests;
pub mod handle;
pub mod keeper;
pub mod log;
pub mod read;
pub mod record;
pub mod ring;
mod rotation;
pub mod statement;
mod worker;
