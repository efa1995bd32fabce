"""AgnosticCursor: Motor's cursor of a `find`."""

from __future__ import annotations

from asyncio import Future
from typing import TYPE_CHECKING, Any, Generic

from pymongo.cursor import CursorType

from ferromongo._calls import find, reads
from ferromongo.motor.core.base_cursor import AgnosticBaseCursor
from ferromongo.motor.core.cursor_options import CursorOptions
from ferromongo.motor.core.futures import started
from ferromongo.typings import DocumentType

if TYPE_CHECKING:
    from typing import Self

    from ferromongo._drive import Pending


class AgnosticCursor(
    AgnosticBaseCursor[DocumentType], CursorOptions[DocumentType], Generic[DocumentType]
):
    """An iterator over the documents a query matches, with Motor's API.

    The query is sent at the first use. Until then the chain methods change it:

        async for order in orders.find({"open": True}).sort("date", -1).limit(10):
            print(order)
    """

    def explain(self) -> Future[DocumentType]:
        """The server's plan for the query and what running it took; the cursor stays unsent."""
        own = self.delegate
        return started(self, find.explain, own._collection, own._query, own._session)

    def distinct(self, key: str) -> Future[list[Any]]:
        """The different values of `key` among the documents the query matches."""
        return started(self, self._distinct, key)

    def _distinct(self, key: str) -> Pending[list[Any]]:
        own = self.delegate
        options = find.distinct_options(own._query)
        return reads.distinct(own._collection, key, None, own._session, None, None, options)

    def rewind(self) -> Self:
        """Start over: the next document asked for is the first one of a new query."""
        self.delegate.rewind()
        self._ahead.clear()
        self.started = False
        return self

    def clone(self) -> Self:
        """An unsent cursor with the same query."""
        return type(self)(self.delegate.clone(), self.collection)

    def __copy__(self) -> Self:
        return type(self)(self.delegate.__copy__(), self.collection)

    def __deepcopy__(self, memo: Any) -> Self:
        return type(self)(self.delegate.__deepcopy__(memo), self.collection)

    def _is_tailable(self) -> bool:
        return self.delegate._query.flags & CursorType.TAILABLE != 0


class AgnosticRawBatchCursor(AgnosticCursor[DocumentType], Generic[DocumentType]):
    """An iterator over the undecoded batches of a query: `collection.find_raw_batches()` makes one.

    Each item is `bytes`: the documents of one batch, end to end.
    """
