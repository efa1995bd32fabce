//! The core error.
