//! Where entries are kept if not in a file of this machine.

use std::pin::Pin;

use super::entry::Key;
use crate::deadline::TimeLimit;
use crate::error::Result;

pub type Putting<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

pub trait Keeper: Send + Sync {
    /// Replaces what is there of the transaction. When it returns, that is safe.
    fn put(&self, key: Key, entry: Vec<u8>, limit: TimeLimit) -> Putting<'_>;

    /// The same without waiting for it.
    fn put_later(&self, key: Key, entry: Vec<u8>);
}
