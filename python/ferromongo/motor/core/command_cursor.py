"""AgnosticCommandCursor: Motor's cursor of a command, which may still have to be sent."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from pymongo.errors import OperationFailure

from ferromongo._calls.aggregation import Aggregation
from ferromongo._calls.openings import Opening
from ferromongo._drive import drive
from ferromongo.motor.core.base_cursor import AgnosticBaseCursor
from ferromongo.motor.core.futures import failed, loop_of, running
from ferromongo.synchronous.command_cursor import CommandCursor, RawBatchCommandCursor
from ferromongo.typings import DocumentType

if TYPE_CHECKING:
    from typing import Self

    from ferromongo._drive import Pending


class Listing(NamedTuple):
    """A list of something, ready to be asked for."""

    opening: Opening | None
    write: Pending[Any] | None = None
    may_lack_collection: bool = False
    """Of a collection that does not exist the list is empty."""


class AgnosticCommandCursor(AgnosticBaseCursor[DocumentType], Generic[DocumentType]):
    """An iterator over the result of a command, with Motor's API."""

    async def try_next(self) -> DocumentType | None:
        """The next document, or None if there is none after asking the server once."""
        document: DocumentType | None = self._taken()
        if document is None:
            self.started = True
            await self._begin()
            document = await drive(self.delegate._try_next())
        return document


class AgnosticRawBatchCommandCursor(AgnosticCommandCursor[DocumentType], Generic[DocumentType]):
    """An iterator over undecoded batches, as `bytes`."""


class AgnosticLatentCommandCursor(AgnosticCommandCursor[DocumentType], Generic[DocumentType]):
    """A command cursor that was returned without `await`: its first use sends the command."""

    start: Callable[..., Aggregation | Listing] | None

    def __init__(
        self,
        collection: Any,
        start: Callable[..., Aggregation | Listing],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """`start(*args, **kwargs)` makes what the cursor begins with."""
        super().__init__(_LatentCursor(), collection)
        self.start = start
        self.args = args
        self.kwargs = kwargs
        self._beginning: Aggregation | Listing | None = None

    def batch_size(self, batch_size: int) -> Self:
        """Set how many documents the server sends at a time; 0 leaves it to the server."""
        if self.start is None:
            return super().batch_size(batch_size)
        self.kwargs["batchSize"] = batch_size
        return self

    async def close(self) -> None:
        """Let the server forget the cursor; one that was not used sends nothing any more."""
        if self.start is not None:
            self.start = None
            self.delegate = CommandCursor(None, None)
        await super().close()

    def _list(self, length: int | None) -> Future[list[DocumentType]]:
        try:
            self._make()
        except Exception as error:
            return failed(loop_of(self), error)
        if self._beginning is not None:
            return running(self, self._listed(length))
        return super()._list(length)

    def _make(self) -> None:
        """The delegate, which is a cursor that is over if making it fails."""
        if self.start is None:
            return
        start, self.start, self.started = self.start, None, True
        self.delegate = CommandCursor(None, None)
        begins = start(*self.args, **self.kwargs)
        session = self.kwargs.get("session") or (self.args[1:2] or (None,))[0]
        raw = begins.opening is not None and begins.opening.raw
        self.delegate = (RawBatchCommandCursor if raw else CommandCursor)(begins.opening, session)
        if begins.write is not None or getattr(begins, "may_lack_collection", False):
            self._beginning = begins

    async def _begin(self) -> None:
        self._make()
        begins, self._beginning = self._beginning, None
        if begins is None:
            return
        if begins.write is not None:
            await drive(begins.write)
            return
        try:
            await drive(self.delegate._start())
        except OperationFailure as error:
            if error.code != _NAMESPACE_NOT_FOUND:
                raise
            self.delegate = CommandCursor(None, self.delegate.session)


class _LatentCursor:
    """Stands for the delegate until there is one."""

    alive = True
    cursor_id = None
    address = None
    session = None

    def _buffered(self) -> None:
        return None


_NAMESPACE_NOT_FOUND = 26
