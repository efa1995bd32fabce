"""Methods that call one another as PyMongo's do: to override or patch one changes the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ferromongo._calls.cursor_cores import CursorCore
from ferromongo._drive import drive

if TYPE_CHECKING:
    from ferromongo._calls.cursor_cores import Pending

_T = TypeVar("_T")


def is_own(owner: Any, name: str, method: Any) -> bool:
    """Whether the object's method of that name is `method`: neither overridden nor patched."""
    return getattr(getattr(owner, name), "__func__", None) is method


async def every(cursor: Any) -> list[Any]:
    """The documents of a cursor: at once, or one by one where `next` may be another's."""
    if isinstance(cursor, CursorCore) and cursor._is_plain():
        found: list[Any] = await drive(cursor._fetch_all())
        return found
    documents = []
    async for document in cursor:
        documents.append(document)
    return documents


async def and_close(cursor: Any, pending: Pending[_T]) -> _T:
    """What is fetched. A `close` of a subclass is called once the server's cursor has ended."""
    try:
        return await drive(pending)
    finally:
        if not cursor.cursor_id:
            await cursor.close()
