"""AsyncGridOutCursor: the files a query of `fs.files` finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ferromongo._calls import gridfs_files as files
from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.find import FindQuery
from ferromongo.asynchronous._iteration import is_own
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.asynchronous.cursor import AsyncCursor
from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.client_session import AsyncClientSession


def files_of(collection: AsyncCollection[Any], *args: Any, **options: Any) -> AsyncGridOutCursor:
    """The cursor over files of a bucket, which may be another library's collection."""
    if isinstance(collection, CollectionBase):
        return AsyncGridOutCursor(collection, *args, **options)
    others: Any = _AsyncOtherFiles.find(collection, *args, **options)
    return cast("AsyncGridOutCursor", others)


class AsyncGridOutCursor(AsyncCursor[Any]):
    """An iterator over files; `find` of a bucket makes one. The chain methods are a cursor's."""

    def __init__(
        self,
        collection: AsyncCollection[Any],
        filter: Mapping[str, Any] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        sort: Any | None = None,
        batch_size: int = 0,
        session: AsyncClientSession | None = None,
    ) -> None:
        """Made by `find`; `collection` is the bucket, such as `db.fs`."""
        files.check_no_transaction(session)
        root_collection = files.without_type_registry(collection)
        super().__init__(
            root_collection.files,
            filter,
            skip=skip,
            limit=limit,
            no_cursor_timeout=no_cursor_timeout,
            sort=sort,
            batch_size=batch_size,
            session=session,
        )
        self._root_collection: AsyncCollection[Any] = root_collection

    def _with(self, query: FindQuery) -> Self:
        twin = type(self)(self._root_collection, session=self._session)
        twin._query = query
        return twin

    def _file(self, document: Mapping[str, Any]) -> AsyncGridOut:
        return AsyncGridOut(self._root_collection, file_document=document, session=self._session)

    def __aiter__(self) -> Self:
        return self

    async def next(self) -> AsyncGridOut:
        """The next file; raises StopAsyncIteration after the last."""
        files.check_no_transaction(self._session)
        return self._file(await super().next())

    __anext__ = next

    async def to_list(self, length: int | None = None) -> list[AsyncGridOut]:
        """The remaining files, at most `length` of them."""
        files.check_no_transaction(self._session)
        if is_own(self, "next", _NEXT) and type(self).__anext__ is _NEXT:
            return [self._file(document) for document in await super().to_list(length)]
        if length is not None and length < 1:
            raise ValueError("the length given to to_list must be greater than 0")
        found: list[AsyncGridOut] = []
        async for file in self:
            found.append(file)
            if len(found) == length:
                break
        return found

    def add_option(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError: what the flags do is no use for files."""
        raise NotImplementedError("a cursor over files has no query flags")

    def remove_option(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises NotImplementedError, as `add_option` does."""
        raise NotImplementedError("a cursor over files has no query flags")


class _AsyncOtherFiles:
    """The files that a cursor of another library finds, such as mongomock's."""

    def __init__(self, collection: Any, cursor: Any, session: Any) -> None:
        self._collection = collection
        self._cursor = cursor
        self._session = session

    @classmethod
    def find(
        cls,
        collection: Any,
        filter: Mapping[str, Any] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        sort: Any | None = None,
        batch_size: int = 0,
        session: Any | None = None,
    ) -> Self:
        cursor = collection.files.find(
            filter,
            skip=skip,
            limit=limit,
            no_cursor_timeout=no_cursor_timeout,
            sort=sort,
            batch_size=batch_size,
            session=session,
        )
        return cls(collection, cursor, session)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._cursor, name)
        return self._chained(value) if callable(value) else value

    def _chained(self, method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            value = method(*args, **options)
            if isinstance(value, type(self._cursor)):
                return type(self)(self._collection, value, self._session)
            return value

        return call

    def __aiter__(self) -> Self:
        return self

    async def next(self) -> AsyncGridOut:
        document = await anext(self._cursor)
        return AsyncGridOut(self._collection, file_document=document, session=self._session)

    __anext__ = next

    async def to_list(self, length: int | None = None) -> list[AsyncGridOut]:
        found: list[AsyncGridOut] = []
        async for file in self:
            found.append(file)
            if len(found) == length:
                break
        return found


_NEXT = AsyncGridOutCursor.next
