//! Room `topology`: see docs/architecture.md.
