//! Change streams: where one stands, and how it goes on when its cursor is lost.

pub mod command;
pub mod reopen;
pub mod resume;
pub mod stream;
