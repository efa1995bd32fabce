//! Room `control`: see docs/architecture.md.
