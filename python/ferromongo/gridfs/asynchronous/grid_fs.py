"""AsyncGridFS: GridFS in its older form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from ferromongo._calls import gridfs_files as files
from ferromongo.asynchronous._find_options import AsyncFileFindOptions
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.gridfs.asynchronous.grid_in import AsyncGridIn
from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut, open_version
from ferromongo.gridfs.asynchronous.grid_out_cursor import AsyncGridOutCursor, files_of
from ferromongo.gridfs.asynchronous.transfers import fill

if TYPE_CHECKING:
    from ferromongo.asynchronous.client_session import AsyncClientSession


class AsyncGridFS:
    """Files in a database, stored with `put` and opened with `get`.

        fs = AsyncGridFS(client.media)
        key = await fs.put(b"Put the kettle on.", filename="tea.txt")
        file = await fs.get(key)
        print(await file.read())

    New programs better take `AsyncGridFSBucket`, which all of MongoDB's drivers have. `session` is
    the session an operation belongs to. Its transaction can have operations of objects that were
    made with `transactions=True`; those of others raise InvalidOperation. An upload that fails or
    is cancelled leaves no chunk behind.
    """

    def __init__(
        self, database: AsyncDatabase[Any], collection: str = "fs", *, transactions: bool = False
    ) -> None:
        """Files in `collection.files` and `collection.chunks` of the database.

        :param transactions: operations with the session of a transaction are part of it, as
            other operations are. A file that is stored so may have 32 MiB. PyMongo refuses them

        Raises ConfigurationError unless writes are acknowledged.
        """
        files.check_argument("database", database, AsyncDatabase)
        files.check_acknowledged(database.write_concern)
        self._collection: AsyncCollection[Any] = files.without_type_registry(database)[collection]
        self._files = self._collection.files
        self._chunks = self._collection.chunks
        self._transactions = bool(transactions)

    def new_file(self, **kwargs: Any) -> AsyncGridIn:
        """A new file to write to; the keywords are those of `AsyncGridIn`."""
        files.admit(kwargs.get("session"), self._transactions)
        return AsyncGridIn(self._collection, **kwargs)

    async def put(self, data: Any, **kwargs: Any) -> Any:
        """Store bytes, or what can be read from a file or a path, as a new file; returns its `_id`.

        The keywords are those of `AsyncGridIn`. Raises FileExists if there is a file with this
        `_id`.
        """
        files.admit(kwargs.get("session"), self._transactions)
        file = AsyncGridIn(self._collection, **kwargs)
        await fill(file, data)
        return file._id

    async def get(self, file_id: Any, session: AsyncClientSession | None = None) -> AsyncGridOut:
        """Open the file with this `_id`; raises NoFile if there is none."""
        files.admit(session, self._transactions)
        file = AsyncGridOut(self._collection, file_id, session=session)
        await file.open()
        return file

    async def get_version(
        self,
        filename: str | None = None,
        version: int | None = -1,
        session: AsyncClientSession | None = None,
        **kwargs: Any,
    ) -> AsyncGridOut:
        """Open one of the files with this name, and with these fields.

        :param version: 0 is the oldest, 1 the next, -1 the newest, -2 the one before
        :param kwargs: fields of the file's document

        Raises NoFile if there is none.
        """
        if filename is not None:
            kwargs["filename"] = filename
        files.admit(session, self._transactions)
        return await open_version(
            self._collection, kwargs, -1 if version is None else version, session
        )

    async def get_last_version(
        self,
        filename: str | None = None,
        session: AsyncClientSession | None = None,
        **kwargs: Any,
    ) -> AsyncGridOut:
        """Open the newest file with this name, and with these fields; raises NoFile."""
        return await self.get_version(filename=filename, session=session, **kwargs)

    async def delete(self, file_id: Any, session: AsyncClientSession | None = None) -> None:
        """Delete the file with this `_id`, if there is one. Who is reading it sees it corrupt."""
        files.admit(session, self._transactions)
        await self._files.delete_one(files.by_id(file_id), session=session)
        await self._chunks.delete_many(files.chunks_of(file_id), session=session)

    async def list(self, session: AsyncClientSession | None = None) -> list[str]:
        """The names of all files."""
        files.admit(session, self._transactions)
        names = await self._files.distinct("filename", session=session)
        return [name for name in names if name is not None]

    async def find_one(
        self,
        filter: Any | None = None,
        session: AsyncClientSession | None = None,
        *args: Any,
        **kwargs: Unpack[AsyncFileFindOptions],
    ) -> AsyncGridOut | None:
        """The first file that `find` would find, or None. What is no mapping is an `_id`."""
        query = files.by_document_or_id(filter)
        find: Any = self.find  # PyMongo's takes any arguments
        file: AsyncGridOut
        async for file in find(query, *args, session=session, **kwargs).limit(-1):
            return file
        return None

    def find(
        self,
        filter: Mapping[str, Any] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        sort: Any | None = None,
        batch_size: int = 0,
        session: AsyncClientSession | None = None,
    ) -> AsyncGridOutCursor:
        """The files whose documents match; the arguments are those of `AsyncGridOutCursor`.

        async for file in fs.find({"filename": "tea.txt"}).sort("uploadDate", -1).limit(3):
            print(await file.read())
        """
        files.admit(session, self._transactions)
        return files_of(
            self._collection, filter, skip, limit, no_cursor_timeout, sort, batch_size, session
        )

    async def exists(
        self,
        document_or_id: Any | None = None,
        session: AsyncClientSession | None = None,
        **kwargs: Any,
    ) -> bool:
        """Whether there is a file with this `_id`, or one that matches a filter or these fields."""
        files.admit(session, self._transactions)
        query = kwargs or files.by_document_or_id(document_or_id)
        return await self._files.find_one(query, ["_id"], session=session) is not None
