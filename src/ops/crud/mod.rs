//! Commands whose replies or batches need more than passing on.

pub mod insert;
