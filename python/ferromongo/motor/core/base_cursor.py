"""AgnosticBaseCursor: what all of Motor's cursors do.

The delegate is a synchronous cursor; only what it does without I/O, and the engine's calls behind
it, are used here. A document that `fetch_next` has seen waits in `_ahead` for `next_object`.
"""

from __future__ import annotations

import warnings
from asyncio import Future
from collections import deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic

from bson.int64 import Int64
from pymongo.errors import InvalidOperation

from ferromongo._drive import drive
from ferromongo.motor.core.base import AgnosticBase
from ferromongo.motor.core.futures import known, loop_of, running, started
from ferromongo.typings import DocumentType

if TYPE_CHECKING:
    from typing import Self


class AgnosticBaseCursor(AgnosticBase, Generic[DocumentType]):
    """An iterator over documents; methods such as `find` and `aggregate` make one."""

    def __init__(self, cursor: Any, collection: Any) -> None:
        """Made by `collection.find()` and the like."""
        super().__init__(cursor)
        self.collection = collection
        self.started = False
        self.closed = False
        self._ahead: deque[Any] = deque()

    def get_io_loop(self) -> Any:
        """The loop of its client."""
        return self.collection.get_io_loop()

    @property
    def address(self) -> tuple[str, int | None] | None:
        """The server the documents come from, once it is known."""
        address: tuple[str, int | None] | None = self.delegate.address
        return address

    @property
    def cursor_id(self) -> Int64 | None:
        """The id of the cursor on the server; None before the first answer, 0 at the end."""
        number: Int64 | None = self.delegate.cursor_id
        return number

    @property
    def alive(self) -> bool:
        """Whether there may be more documents."""
        return bool(self._ahead or self.delegate.alive)

    @property
    def session(self) -> Any:
        """The session that was passed in, if any."""
        return self.delegate.session

    def batch_size(self, batch_size: int) -> Self:
        """Set how many documents the server sends at a time; 0 leaves it to the server."""
        self.delegate.batch_size(batch_size)
        return self

    def __aiter__(self) -> Self:
        return self

    async def next(self) -> DocumentType:
        """The next document; raises StopAsyncIteration after the last."""
        document = self._taken()
        if document is None:
            document = await self._fetched()
            if document is None:
                raise StopAsyncIteration
        item: DocumentType = self._item(document)
        return item

    __anext__ = next

    def to_list(self, length: int | None = None) -> Future[list[DocumentType]]:
        """The remaining documents, at most `length` of them.

        Raises TypeError or ValueError for a length that is none, InvalidOperation for a tailable
        cursor.

            while page := await cursor.to_list(100):
                print(page)
        """
        if length is not None:
            if not isinstance(length, int):
                raise TypeError(f"length must be an int, not {length!r}")
            if length < 0:
                raise ValueError("length must be non-negative")
        if self._is_tailable():
            raise InvalidOperation("Can't call to_list on tailable cursor")
        if not self.alive:
            return known(loop_of(self), [])
        if self._ahead or length == 0:
            return running(self, self._listed(length))
        return self._list(length)

    def _list(self, length: int | None) -> Future[list[DocumentType]]:
        """`to_list` of a cursor that has nothing ahead: all of it is one call of the engine."""
        self.started = True
        return started(self, self.delegate._fetch_all, length)

    async def _listed(self, length: int | None) -> list[DocumentType]:
        """The same in steps."""
        await self._begin()
        documents: list[DocumentType] = []
        while self._ahead and length != 0:
            documents.append(self._ahead.popleft())
            length = None if length is None else length - 1
        if length == 0:
            await drive(self.delegate._start())
            return documents
        documents += await drive(self.delegate._fetch_all(length))
        return documents

    @property
    def fetch_next(self) -> Future[bool]:
        """Deprecated: whether there is a further document, which `next_object` then returns.

        while await cursor.fetch_next:
            print(cursor.next_object())
        """
        warnings.warn(
            "fetch_next is deprecated: iterate over the cursor with `async for`",
            DeprecationWarning,
            stacklevel=2,
        )
        document = self._taken()
        if document is not None:
            self._ahead.appendleft(document)
            return known(loop_of(self), True)
        if not self.alive:
            return known(loop_of(self), False)
        return running(self, self._look_ahead())

    async def _look_ahead(self) -> bool:
        document = await self._fetched()
        if document is not None:
            self._ahead.append(document)
        return document is not None

    def next_object(self) -> Any:
        """Deprecated: the document that `fetch_next` has found, or None."""
        warnings.warn(
            "next_object is deprecated: iterate over the cursor with `async for`",
            DeprecationWarning,
            stacklevel=2,
        )
        document = self._taken()
        return None if document is None else self._item(document)

    def each(self, callback: Callable[[Any, Any], Any]) -> None:
        """Call `callback(document, None)` for each document, and `callback(None, None)` at the end.

        Returns at once. An error is passed as the second argument, and ends the iteration; so does
        a callback that returns False.
        """
        if not callable(callback):
            raise TypeError("callback must be a callable")
        self._each(callback, None)

    def _each(self, callback: Callable[[Any, Any], Any], fetch: Future[bool] | None) -> None:
        if fetch is not None:
            try:
                fetch.result()
            except Exception as error:
                callback(None, error)
                return
        while (document := self._taken()) is not None:
            if callback(self._item(document), None) is False or self.closed:
                return
        if self.alive and (self.cursor_id or not self.started):
            following = running(self, self._look_ahead())
            following.add_done_callback(partial(self._each, callback))
        else:
            loop_of(self).call_soon(callback, None, None)

    async def close(self) -> None:
        """Let the server forget the cursor. Iterating to the end does so by itself.

        Documents that have been fetched can still be read.
        """
        if not self.closed:
            self.closed = True
            await drive(self.delegate._close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def _taken(self) -> Any:
        """The next document, if nothing has to be sent for it."""
        return self._ahead.popleft() if self._ahead else self.delegate._buffered()

    async def _fetched(self) -> Any:
        """The next document from the server, or None if there is none."""
        self.started = True
        await self._begin()
        delegate = self.delegate
        while delegate.alive:
            document = await drive(delegate._try_next())
            if document is not None or self._is_tailable():
                return document
        return None

    async def _begin(self) -> None:
        """What has to be done before the delegate can be asked."""

    def _item(self, document: Any) -> Any:
        """What iteration hands out for a document."""
        return document

    def _is_tailable(self) -> bool:
        return False
