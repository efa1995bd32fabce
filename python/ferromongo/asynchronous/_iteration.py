"""Methods that call one another as PyMongo's do: to override or patch one changes the others."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar

import pymongo

from ferromongo._calls.cursor_bases import CursorBase
from ferromongo._drive import drive
from ferromongo._pymongo_internals import current_timeout

if TYPE_CHECKING:
    from ferromongo._calls.cursor_bases import Pending

_T = TypeVar("_T")


def is_own(owner: Any, name: str, method: Any) -> bool:
    """Whether the object's method of that name is `method`: neither overridden nor patched."""
    bound = getattr(owner, name)
    # Wrappers such as wrapt's show the attributes of what they wrap: the type tells.
    return type(bound) is MethodType and bound.__func__ is method


async def every(cursor: Any) -> list[Any]:
    """The documents of a cursor: at once, or one by one where `next` may be another's."""
    if isinstance(cursor, CursorBase) and cursor._is_plain() and not is_refreshed(cursor):
        found: list[Any] = await drive(cursor._fetch_all())
        return found
    documents = []
    async for document in cursor:
        documents.append(document)
    return documents


async def fetched(cursor: Any, pending: Pending[_T]) -> _T:
    """What is fetched. A `close` that is another's is called once the server's cursor has ended."""
    if is_own(cursor, "close", type(cursor)._plain_close):
        return await drive(pending)
    had_ended = cursor.cursor_id == 0
    try:
        return await drive(pending)
    finally:
        if not cursor.cursor_id and not had_ended:
            await cursor.close()


def is_refreshed(cursor: Any) -> bool:
    """Whether the cursor's `_refresh` is another's, who is to be called for each batch."""
    return not is_own(cursor, "_refresh", type(cursor)._plain_refresh)


async def refreshed_list(cursor: Any, length: int | None, timeout: float | None) -> list[Any]:
    """`to_list` by way of `_refresh`; `timeout` is the client's time limit for all of it."""
    found: list[Any] = []
    with _within(timeout):
        while cursor.alive and (length is None or len(found) < length):
            if not cursor._at_hand():
                await cursor._refresh()
            most: int = cursor._at_hand()
            if not most:
                return found
            if length is not None:
                most = min(most, length - len(found))
            found += await drive(cursor._fetch_all(most))
        # Of a cursor that is over: nothing, or the error that says it was cut.
        return found or await drive(cursor._fetch_all(length))


def _within(timeout: float | None) -> AbstractContextManager[Any]:
    if timeout is None or current_timeout() is not None:
        return nullcontext()
    return pymongo.timeout(timeout)
