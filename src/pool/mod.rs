//! Room `pool`: see docs/architecture.md.
