//! Authentication as conversations of bytes: which command comes next, given the last reply. It
//! has never heard of sockets or clocks; `pool::authenticate` carries what is said.

pub mod conversation;
pub mod credentials;
pub mod key_cache;
pub mod opening;
mod plain;
mod sasl;
pub mod scram;
pub mod scram_keys;
mod x509;
