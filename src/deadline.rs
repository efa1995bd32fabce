//! Remaining time, computed from a `now` that is passed in.
