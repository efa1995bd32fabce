"""AsyncCommandCursor: the documents of an aggregate or of a list of collections or indexes."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn

from pymongo.errors import InvalidOperation

from ferromongo._calls import html
from ferromongo._calls.checks import check_int
from ferromongo._calls.cursor_bases import AsyncCursorBase
from ferromongo._calls.openings import Opening, get_more_batch_size
from ferromongo._calls.sessions import opened_in
from ferromongo._drive import drive
from ferromongo.asynchronous._iteration import fetched, is_refreshed, refreshed_list
from ferromongo.typings import DocumentType

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.client_session import AsyncClientSession


class AsyncCommandCursor(AsyncCursorBase[DocumentType], Generic[DocumentType]):
    """An iterator over the result of a command; methods such as `aggregate` return one."""

    _plain: ClassVar[dict[str, Any]]
    """What `for` goes past unless it was overridden or patched."""
    _plain_close: ClassVar[Any]
    _plain_refresh: ClassVar[Any]

    def __init__(self, opening: Opening | None, session: AsyncClientSession | None) -> None:
        """Made by the methods that return one: `opening` is the command, None for no documents."""
        self._opening = opening
        self._session: Any = opened_in(session, opening.session if opening else None)

    def _open(self) -> Opening | None:
        return self._opening

    @property
    def session(self) -> AsyncClientSession | None:
        """The session that was passed in or bound, if any."""
        opened_in: AsyncClientSession | None = self._session
        return opened_in

    def batch_size(self, batch_size: int) -> Self:
        """Set how many documents the server sends at a time; 0 leaves it to the server."""
        check_int("batch_size", batch_size)
        if batch_size < 0:
            raise ValueError("batch_size must be >= 0")
        self._set_batch_size(get_more_batch_size(batch_size))
        return self

    def read_ahead(self, enabled: bool = True) -> Self:
        """Ask for each batch while the one before is read: see `AsyncCursor.read_ahead`."""
        self._set_read_ahead(bool(enabled))
        return self

    async def next(self) -> DocumentType:
        """The next document; raises StopAsyncIteration after the last."""
        document = self._buffered()
        if document is not None:
            return document
        if is_refreshed(self):
            await drive(self._start())
            while (document := self._buffered()) is None and self.alive:
                await self._refresh()
            if document is not None:
                return document
        return await fetched(self, self._next())

    async def __anext__(self) -> DocumentType:  # async only
        document = self._ready()
        return await self.next() if document is None else document

    async def try_next(self) -> DocumentType | None:
        """The next document, or None if there is none after asking the server once."""
        if is_refreshed(self):
            await drive(self._start())
            document = self._buffered()
            if document is None and self.alive:
                await self._refresh()
                document = self._buffered()
            if document is not None or self.alive:
                return document
        return await drive(self._try_next())

    async def _refresh(self) -> int:
        """How many documents are here; if none are, as many as the next command brings.

        Agents wrap it to measure each batch: iteration calls it then.
        """
        return await fetched(self, self._refill(until_some=False))

    async def to_list(self, length: int | None = None) -> list[DocumentType]:
        """The remaining documents, at most `length` of them.

        Raises ValueError if `length` is less than 1.
        """
        if length is not None and length < 1:
            raise ValueError("the length given to to_list must be greater than 0")
        if is_refreshed(self):
            await drive(self._start())
            timeout = None if self._opening is None else self._opening.scope.timeout
            return await refreshed_list(self, length, timeout)
        return await fetched(self, self._fetch_all(length))

    def _repr_html_(self) -> str:
        return html.cursor(self, None, None)

    async def close(self) -> None:
        """Let the server forget the cursor. Iterating to the end does so by itself."""
        await drive(self._close())

    def __del__(self) -> None:
        """For subclasses to call: the engine notices itself when a cursor is dropped."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


class AsyncRawBatchCommandCursor(AsyncCommandCursor[DocumentType], Generic[DocumentType]):
    """An iterator over undecoded batches, as `bytes`: `aggregate_raw_batches` makes one."""

    def __getitem__(self, index: int) -> NoReturn:
        raise InvalidOperation("AsyncRawBatchCommandCursor cannot be indexed")


AsyncCommandCursor._plain = {
    "next": AsyncCommandCursor.next,
    "__anext__": AsyncCommandCursor.__anext__,
}
AsyncCommandCursor._plain_refresh = AsyncCommandCursor._refresh
AsyncCommandCursor._plain_close = AsyncCommandCursor.close
