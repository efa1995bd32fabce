"""The engine's cursors, for the public classes to build on: iteration runs in Rust."""

from ferromongo._core import (
    AsyncChangeStreamBase,
    AsyncCursorBase,
    CursorBase,
    Pending,
    SyncChangeStreamBase,
    SyncCursorBase,
)

__all__ = [
    "AsyncChangeStreamBase",
    "AsyncCursorBase",
    "CursorBase",
    "Pending",
    "SyncChangeStreamBase",
    "SyncCursorBase",
]
