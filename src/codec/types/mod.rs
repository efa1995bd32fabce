//! One file per BSON type that is more than a number or a string: how it is read and how it is written.

pub mod binary;
pub mod code;
pub mod datetime;
pub mod db_ref;
mod field;
pub mod number;
pub mod object_id;
pub mod regex;
pub mod text;
