"""The engine's cursors, for the public cursor classes to build on: iteration runs in Rust."""

from ferromongo._core import AsyncCursorCore, SyncCursorCore

__all__ = ["AsyncCursorCore", "SyncCursorCore"]
