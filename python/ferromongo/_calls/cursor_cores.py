"""The engine's cursors, for the public classes to build on: iteration runs in Rust."""

from ferromongo._core import (
    AsyncChangeStreamCore,
    AsyncCursorCore,
    CursorCore,
    Pending,
    SyncChangeStreamCore,
    SyncCursorCore,
)

__all__ = [
    "AsyncChangeStreamCore",
    "AsyncCursorCore",
    "CursorCore",
    "Pending",
    "SyncChangeStreamCore",
    "SyncCursorCore",
]
