//! The engine of ferromongo. This file lists the rooms; docs/architecture.md says who may import whom.

pub mod auth;
pub mod control;
pub mod deadline;
pub mod error;
pub mod event;
pub mod exec;
pub mod journal;
pub mod metadata;
pub mod net;
pub mod ops;
pub mod pool;
pub mod session;
pub mod settings;
pub mod stack;
pub mod sync;
pub mod topology;
pub mod wire;

#[cfg(feature = "python")]
pub mod codec;
#[cfg(feature = "python")]
mod py;
