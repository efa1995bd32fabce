"""AsyncCursor: the documents a `find` returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, overload

from bson.code import Code
from pymongo.collation import validate_collation_or_none
from pymongo.cursor import CursorType
from pymongo.errors import InvalidOperation
from pymongo.write_concern import validate_boolean

from ferromongo._calls import find, html
from ferromongo._calls.cursor_bases import AsyncCursorBase
from ferromongo._calls.openings import Opening
from ferromongo._calls.scopes import document_scope
from ferromongo._calls.sessions import ambient_session
from ferromongo._drive import drive
from ferromongo.asynchronous._iteration import fetched, is_refreshed, refreshed_list
from ferromongo.typings import CollationIn, DocumentType, Hint, KeyPattern

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.client_session import AsyncClientSession
    from ferromongo.asynchronous.collection import AsyncCollection

_IS_SYNC = False


class AsyncCursor(AsyncCursorBase[DocumentType], Generic[DocumentType]):
    """An iterator over the documents a query matches; `collection.find()` makes one.

    The query is sent when the first document is asked for. Until then the chain methods change it:

        async for order in orders.find({"open": True}).sort("date", -1).limit(10):
            print(order)
    """

    _plain: ClassVar[dict[str, Any]]
    """What `for` goes past unless it was overridden or patched."""
    _plain_close: ClassVar[Any]
    _plain_refresh: ClassVar[Any]

    def __init__(
        self,
        collection: AsyncCollection[DocumentType],
        filter: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        cursor_type: int = CursorType.NON_TAILABLE,
        sort: KeyPattern | None = None,
        allow_partial_results: bool = False,
        oplog_replay: bool = False,
        batch_size: int = 0,
        collation: CollationIn | None = None,
        hint: Hint | None = None,
        max_scan: int | None = None,
        max_time_ms: int | None = None,
        max: KeyPattern | None = None,
        min: KeyPattern | None = None,
        return_key: bool | None = None,
        show_record_id: bool | None = None,
        snapshot: bool | None = None,
        comment: Any | None = None,
        session: AsyncClientSession | None = None,
        allow_disk_use: bool | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> None:
        """See `AsyncCollection.find` for the arguments."""
        self._collection = collection
        self._session = session
        self._opened_in: Any = None
        self._query = find.FindQuery(
            filter,
            projection,
            skip,
            limit,
            no_cursor_timeout,
            cursor_type,
            sort,
            allow_partial_results,
            oplog_replay,
            batch_size,
            collation,
            hint,
            max_scan,
            max_time_ms,
            max,
            min,
            return_key,
            show_record_id,
            snapshot,
            comment,
            allow_disk_use,
            let,
        )
        # Has the engine make its part, which wrappers that only forward attributes then find.
        self._started()

    def _open(self) -> Opening | None:
        opening = find.opening(self._collection, self._query, self._session)
        self._opened_in = self._session or ambient_session(self._collection._database._client)
        return opening

    def _unsent(self) -> find.FindQuery:
        """The query, as long as it may be changed."""
        if self._started():
            raise InvalidOperation("cannot set options after executing query")
        return self._query

    def _with(self, query: find.FindQuery) -> Self:
        """A cursor of the same kind for another query."""
        twin = type(self)(self._collection, session=self._session)
        twin._query = query
        return twin

    @property
    def collection(self) -> AsyncCollection[DocumentType]:
        """The collection the documents come from."""
        return self._collection

    @property
    def session(self) -> AsyncClientSession | None:
        """The session that was passed to `find`, or bound when it was sent, if any."""
        return self._session or self._opened_in

    def limit(self, limit: int) -> Self:
        """Return at most `limit` documents; 0 for all, negative for one batch only."""
        self._unsent().set_limit(limit)
        return self

    def skip(self, skip: int) -> Self:
        """Leave out the first `skip` documents."""
        self._unsent().set_skip(skip)
        return self

    def batch_size(self, batch_size: int) -> Self:
        """How many documents the server sends at a time; 0 leaves it to the server."""
        self._unsent().set_batch_size(batch_size)
        return self

    def read_ahead(self, enabled: bool = True) -> Self:
        """Ask for each batch while the one before is read, so that the server and the program work
        at the same time.

        A loop that is left early has asked for one batch too many, and its connection is closed.
        So it is off unless all documents are wanted: `to_list` without a length does it by itself.
        In a session of the user's, and with tailable and exhaust cursors, it has no effect. Nor has
        it in a loop with timeoutMS or socketTimeoutMS, whose clock would run while the body does.
        At most half of maxPoolSize is used for it, so that the body can use the client. An
        asynchronous cursor stays on its event loop. Not in PyMongo.

            async for order in orders.find({"year": 2024}).read_ahead():
                count(order)
        """
        self._unsent().read_ahead = bool(enabled)
        return self

    def sort(self, key_or_list: Hint, direction: int | str | None = None) -> Self:
        """Order the documents: by one key, or by a list of (key, direction) pairs. The last counts.

        Directions are `ASCENDING` (1, the default), `DESCENDING` (-1), or `{"$meta": "textScore"}`.
        """
        self._unsent().set_sort(key_or_list, direction)
        return self

    def hint(self, index: Hint | None) -> Self:
        """The index to use, by name or keys; None takes the hint back.

        The server refuses the query if there is no such index.
        """
        self._unsent().set_hint(index)
        return self

    def min(self, spec: KeyPattern) -> Self:
        """The inclusive lower bound of the index that `hint` names, as (key, value) pairs."""
        self._unsent().set_bound("min", spec)
        return self

    def max(self, spec: KeyPattern) -> Self:
        """The exclusive upper bound of the index that `hint` names, as (key, value) pairs."""
        self._unsent().set_bound("max", spec)
        return self

    def max_time_ms(self, max_time_ms: int | None) -> Self:
        """Milliseconds the server may work on the query; then ExecutionTimeout is raised."""
        self._unsent().set_max_time(max_time_ms)
        return self

    def max_await_time_ms(self, max_await_time_ms: int | None) -> Self:
        """Milliseconds a TAILABLE_AWAIT cursor waits for new documents; ignored by others."""
        self._unsent().set_max_await_time(max_await_time_ms)
        return self

    def max_scan(self, max_scan: int | None) -> Self:
        """How many documents to look at; servers from 4.2 on refuse it."""
        self._unsent().max_scan = max_scan
        return self

    def comment(self, comment: Any) -> Self:
        """A comment shown with the query in the server's logs and profiles."""
        self._unsent().comment = comment
        return self

    def where(self, code: str | Code) -> Self:
        """Add a JavaScript condition to the filter; in it, `this` is the document.

        It is slow, as no index helps. Raises TypeError if `code` is neither a str nor a Code.
        """
        self._unsent().add_where(code)
        return self

    def collation(self, collation: CollationIn | None) -> Self:
        """The rules for comparing strings: a `Collation` or its document; None takes them back."""
        self._unsent().collation = validate_collation_or_none(collation)
        return self

    def allow_disk_use(self, allow_disk_use: bool) -> Self:
        """Whether the server may sort on disk."""
        if not isinstance(allow_disk_use, bool):
            raise TypeError(f"allow_disk_use must be a bool, not {type(allow_disk_use)}")
        self._unsent().allow_disk_use = validate_boolean("allow_disk_use", allow_disk_use)
        return self

    async def add_option(self, mask: int) -> Self:
        """Set a query flag by its number, such as 16 for no timeout; TypeError if it is none."""
        self._unsent().add_flags(mask)
        return self

    def remove_option(self, mask: int) -> Self:
        """Take a query flag back."""
        self._unsent().remove_flags(mask)
        return self

    @overload
    def __getitem__(self, index: int) -> DocumentType: ...

    @overload
    def __getitem__(self, index: slice) -> AsyncCursor[DocumentType]: ...

    def __getitem__(self, index: int | slice) -> DocumentType | AsyncCursor[DocumentType]:
        """One document by position, or this cursor with skip and limit from a slice."""
        if _IS_SYNC:
            query = self._unsent()
            if isinstance(index, slice):
                query.slice(index)
                return self
            skip = query.place(index)
            one: Any = self.clone()
            one.skip(skip)
            one.limit(-1)
            one._query.take_one()
            for document in one:
                found: DocumentType = document
                return found
            raise IndexError("the query matches fewer documents")
        raise IndexError("AsyncCursor cannot be indexed; use skip and limit")

    async def next(self) -> DocumentType:
        """The next document; raises StopAsyncIteration after the last."""
        document = self._buffered()
        if document is not None:
            return document
        if is_refreshed(self) and not self._query.empty:
            document = self._buffered() if await self._refresh() else None
            if document is None:
                raise StopAsyncIteration
            return document
        return await fetched(self, self._next())

    async def __anext__(self) -> DocumentType:  # async only
        document = self._ready()
        return await self.next() if document is None else document

    async def _refresh(self) -> int:
        """How many documents are here; if none are, as many as the next command brings.

        Agents wrap it to measure each batch: iteration calls it then.
        """
        return await fetched(self, self._refill(until_some=True))

    async def to_list(self, length: int | None = None) -> list[DocumentType]:
        """The remaining documents, at most `length` of them.

        Raises ValueError if `length` is less than 1.
        """
        if length is not None and length < 1:
            raise ValueError("the length given to to_list must be greater than 0")
        if is_refreshed(self) and not self._query.empty:
            timeout = document_scope(self._collection).timeout
            return await refreshed_list(self, length, timeout)
        return await fetched(self, self._fetch_all(length))

    async def explain(self) -> DocumentType:
        """The server's plan for the query and what running it took; the cursor stays unsent."""
        twin = self.clone()
        plan: DocumentType = await drive(find.explain(twin._collection, twin._query, twin._session))
        return plan

    async def distinct(self, key: str) -> list[Any]:
        """The different values of `key` among the documents the query matches."""
        options = find.distinct_options(self._query)
        return await self._collection.distinct(key, session=self._session, **options)

    async def rewind(self) -> Self:
        """Start over: the next document asked for is the first one of a new query."""
        await self.close()
        self._reset()
        return self

    def clone(self) -> Self:
        """An unsent cursor with the same query."""
        return self._with(self._query.copy(deep=True))

    def __copy__(self) -> Self:
        return self._with(self._query.copy(deep=False))

    def __deepcopy__(self, memo: Any) -> Self:
        return self.clone()

    def _repr_html_(self) -> str:
        return html.cursor(self, self._collection.full_name, self._query)

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


class AsyncRawBatchCursor(AsyncCursor[DocumentType], Generic[DocumentType]):
    """An iterator over the undecoded batches of a query: `collection.find_raw_batches()` makes one.

    Each item is `bytes`: the documents of one batch, end to end.
    """

    def _open(self) -> Opening | None:
        opening = super()._open()
        return None if opening is None else opening._replace(raw=True)

    async def explain(self) -> DocumentType:
        """The server's plan for the query, decoded."""
        cursor: AsyncCursor[DocumentType] = AsyncCursor(self._collection, session=self._session)
        cursor._query = self._query.copy(deep=True)
        return await cursor.explain()

    def __getitem__(self, index: Any) -> NoReturn:
        raise InvalidOperation("AsyncRawBatchCursor cannot be indexed; use skip and limit")


AsyncCursor._plain = {"next": AsyncCursor.next, "__anext__": AsyncCursor.__anext__}
AsyncCursor._plain_refresh = AsyncCursor._refresh
AsyncCursor._plain_close = AsyncCursor.close
