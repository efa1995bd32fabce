//! Connections: made, lent, kept and closed, one pool for each server and event loop.

pub mod authenticate;
pub mod checkout;
pub mod connection;
pub mod generation;
pub mod handshake;
mod interrupt;
pub mod pinned;
pub mod server;
pub mod state;
mod telling;
