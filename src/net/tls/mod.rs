//! TLS inside a stream: what to trust (`settings`, `verifier`), the records (`session`), and the stream that
//! carries them.

mod explain;
mod files;
pub mod session;
pub mod settings;
mod stream;
mod verifier;

pub use explain::explain;
