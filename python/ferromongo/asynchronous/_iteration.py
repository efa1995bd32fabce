"""Iteration by a `next` that a subclass overrides, as with PyMongo's cursors."""

from __future__ import annotations

from typing import Any


def follow_next(kind: type, base: type) -> None:
    """Have a subclass of the cursor class `base` iterate with its own `next`, if it has one."""
    cursor: Any = kind
    engines: Any = base
    if cursor.next is not engines.next and cursor.__anext__ is engines.__anext__:
        cursor.__anext__ = _by_next


async def _by_next(self: Any) -> Any:
    return await self.next()
