"""What a cursor begins with, and what its later commands carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ferromongo._core import Scope, Session


class Opening(NamedTuple):
    """The first command of a cursor and how it is read: see `_core.CursorBase`."""

    scope: Scope
    command: Mapping[str, Any]
    session: Session | None
    batch_size: int = 0
    limit: int = 0
    get_more: Mapping[str, Any] | None = None
    exhaust: bool = False
    raw: bool = False
    any_command: bool = False
    read_ahead: bool = False


def get_more_extras(comment: Any, max_await_time_ms: int | None) -> dict[str, Any] | None:
    """What every getMore of the cursor carries."""
    extras: dict[str, Any] = {}
    if max_await_time_ms is not None:
        extras["maxTimeMS"] = max_await_time_ms
    if comment is not None:
        extras["comment"] = comment
    return extras or None


def get_more_batch_size(batch_size: int) -> int:
    """Of other cursors than find's: for old servers a batch of one was the end of the cursor."""
    return 2 if batch_size == 1 else batch_size
