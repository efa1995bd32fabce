//! Room `exec`: see docs/architecture.md.
