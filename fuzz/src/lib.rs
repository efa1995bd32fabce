//! What the targets share.

pub mod documents;
pub mod python;
pub mod python_view;
