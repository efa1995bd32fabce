"""AsyncChangeStream and its kinds: the changes of a collection, a database or a deployment."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from ferromongo._calls.change_stream import ChangeStreamArguments
from ferromongo._calls.cursor_bases import AsyncChangeStreamBase
from ferromongo._drive import drive
from ferromongo.asynchronous._iteration import is_own
from ferromongo.asynchronous.command_cursor import AsyncCommandCursor
from ferromongo.typings import DocumentType

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.client_session import AsyncClientSession
    from ferromongo.asynchronous.collection import AsyncCollection
    from ferromongo.asynchronous.database import AsyncDatabase


class AsyncChangeStream(
    AsyncChangeStreamBase[DocumentType], ChangeStreamArguments[DocumentType], Generic[DocumentType]
):
    """An iterator over changes; the methods `watch` return one.

    When its cursor is lost, by a failover or a broken connection, it goes on behind the last change
    that it returned. The same after a call of `next` that was interrupted, cancelled or ran out of
    time. Errors that a new cursor would meet again are raised, and close it.

    Iteration waits for changes. It ends when the stream is closed or invalidated, as by dropping
    the collection.

        async with await db.orders.watch() as stream:
            async for change in stream:
                print(change["operationType"], stream.resume_token)
    """

    _session: AsyncClientSession | None
    _plain: ClassVar[dict[str, Any]]
    """What iteration goes past unless it was overridden or patched."""

    def _shown_cursor(self) -> AsyncCommandCursor[DocumentType]:
        """For `_cursor`: the engine gives it the latest cursor."""
        return AsyncCommandCursor(None, self._session)

    async def next(self) -> DocumentType:
        """The next change, as soon as there is one; raises StopAsyncIteration when closed."""
        return await self._following()

    async def __anext__(self) -> DocumentType:  # async only
        change = self._ready()
        return await self._following() if change is None else change

    async def _following(self) -> DocumentType:
        if is_own(self, "try_next", _TRY_NEXT):
            change = self._buffered()
            return await drive(self._next()) if change is None else change
        while self.alive:
            change = await self.try_next()
            if change is not None:
                return change
        raise StopAsyncIteration

    async def try_next(self) -> DocumentType | None:
        """The next change, or None if there is none after asking the server once."""
        return await drive(self._try_next())

    async def close(self) -> None:
        """End the stream and let the server forget its cursor."""
        cursor: Any = self._cursor
        await drive(self._close())
        if cursor is not None and not is_own(cursor, "close", AsyncCommandCursor._plain_close):
            await cursor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncCollectionChangeStream(AsyncChangeStream[DocumentType], Generic[DocumentType]):
    """The changes of a collection."""

    _target: AsyncCollection[DocumentType]


class AsyncDatabaseChangeStream(AsyncChangeStream[DocumentType], Generic[DocumentType]):
    """The changes of all collections of a database."""

    _target: AsyncDatabase[DocumentType]


class AsyncClusterChangeStream(AsyncDatabaseChangeStream[DocumentType], Generic[DocumentType]):
    """The changes of all databases."""

    _whole_cluster = True


AsyncChangeStream._plain = {"try_next": AsyncChangeStream.try_next}
_TRY_NEXT = AsyncChangeStream.try_next
