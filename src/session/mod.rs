//! Logical sessions: server sessions and their pool, causal consistency, transactions.

pub mod client;
pub mod cluster_time;
pub mod pin;
pub mod server;
pub mod transaction;
pub mod transaction_errors;
pub mod turn;
