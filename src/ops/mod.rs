//! Room `ops`: see docs/architecture.md.
