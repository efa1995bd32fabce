"""AsyncGridFSBucket: GridFS as all of MongoDB's drivers have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from bson.objectid import ObjectId
from gridfs import DEFAULT_CHUNK_SIZE
from gridfs.errors import NoFile
from pymongo.common import validate_string
from pymongo.write_concern import WriteConcern

from ferromongo._calls import gridfs_files as files
from ferromongo._drive import answer
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous._iteration import every
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.gridfs.asynchronous.grid_in import AsyncGridIn
from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut, open_version
from ferromongo.gridfs.asynchronous.grid_out_cursor import AsyncGridOutCursor, files_of

if TYPE_CHECKING:
    from ferromongo.asynchronous.client_session import AsyncClientSession


class AsyncGridFSBucket:
    """Files of any size in a database, stored in chunks.

        bucket = AsyncGridFSBucket(client.media)
        with open("tea.mp4", "rb") as source:
            key = await bucket.upload_from_stream("tea.mp4", source)
        with open("copy.mp4", "wb") as copy:
            await bucket.download_to_stream(key, copy)

    Several files may have the same name: each upload makes a new one, a further revision.
    `session` is the session an operation belongs to. None of them can be part of a transaction. A
    client's timeoutMS limits a method of the bucket as a whole; of an open file, each operation.
    """

    def __init__(
        self,
        db: AsyncDatabase[Any],
        bucket_name: str = "fs",
        chunk_size_bytes: int = DEFAULT_CHUNK_SIZE,
        write_concern: WriteConcern | None = None,
        read_preference: ServerMode | None = None,
    ) -> None:
        """Files in `bucket_name.files` and `bucket_name.chunks` of the database.

        :param chunk_size_bytes: how many bytes make a chunk of a new file, 255 KiB by default
        :param write_concern: how many members must confirm a write; else the database's
        :param read_preference: which members reads may go to; else the database's

        Raises ConfigurationError unless writes are acknowledged.
        """
        files.check_kind(db, AsyncDatabase, "database")
        files.check_acknowledged(write_concern or db.write_concern)
        self._bucket_name = bucket_name
        self._collection: AsyncCollection[Any] = files.without_type_registry(
            db, write_concern=write_concern, read_preference=read_preference
        )[bucket_name]
        self._files = self._collection.files
        self._chunks = self._collection.chunks
        self._chunk_size_bytes = chunk_size_bytes
        self._timeout = files.time_limit(db)

    def open_upload_stream(
        self,
        filename: str,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AsyncClientSession | None = None,
    ) -> AsyncGridIn:
        """A new file to write to; it is stored when it is closed.

        async with bucket.open_upload_stream("tea.txt", metadata={"lang": "en"}) as file:
            await file.write(b"Put the kettle on.")

        :param chunk_size_bytes: how many bytes make a chunk of it; else the bucket's
        :param metadata: the field `metadata` of its document
        """
        return self._new_file(None, filename, chunk_size_bytes, metadata, session)

    def open_upload_stream_with_id(
        self,
        file_id: Any,
        filename: str,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AsyncClientSession | None = None,
    ) -> AsyncGridIn:
        """As `open_upload_stream`, with an `_id` that no file has yet."""
        return self._new_file({"_id": file_id}, filename, chunk_size_bytes, metadata, session)

    def _new_file(
        self,
        key: dict[str, Any] | None,
        filename: str,
        chunk_size: int | None,
        metadata: Mapping[str, Any] | None,
        session: AsyncClientSession | None,
    ) -> AsyncGridIn:
        validate_string("filename", filename)
        size = self._chunk_size_bytes if chunk_size is None else chunk_size
        fields = files.upload_fields(filename, size, metadata)
        return AsyncGridIn(self._collection, session=session, **(key or {}), **fields)

    async def upload_from_stream(
        self,
        filename: str,
        source: Any,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AsyncClientSession | None = None,
    ) -> ObjectId:
        """Store bytes, or all that a file has, as a new file; returns its `_id`.

        :param source: bytes, or an object with `read`, which may be a coroutine

        The others are as in `open_upload_stream`.
        """
        with files.whole_operation(self._timeout):
            file = self.open_upload_stream(filename, chunk_size_bytes, metadata, session)
            await _fill(file, source)
        return cast("ObjectId", file._id)

    async def upload_from_stream_with_id(
        self,
        file_id: Any,
        filename: str,
        source: Any,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AsyncClientSession | None = None,
    ) -> None:
        """As `upload_from_stream`, with an `_id` that no file has yet."""
        with files.whole_operation(self._timeout):
            file = self.open_upload_stream_with_id(
                file_id, filename, chunk_size_bytes, metadata, session
            )
            await _fill(file, source)

    async def open_download_stream(
        self, file_id: Any, session: AsyncClientSession | None = None
    ) -> AsyncGridOut:
        """Open the file with this `_id`; raises NoFile if there is none."""
        file = AsyncGridOut(self._collection, file_id, session=session)
        await file.open()
        return file

    async def open_download_stream_by_name(
        self, filename: str, revision: int = -1, session: AsyncClientSession | None = None
    ) -> AsyncGridOut:
        """Open one of the files with this name; raises NoFile if there is none.

        :param revision: 0 is the first that was stored, 1 the second; -1 the newest, -2 the one
            before
        """
        validate_string("filename", filename)
        return await open_version(self._collection, {"filename": filename}, revision, session)

    async def download_to_stream(
        self, file_id: Any, destination: Any, session: AsyncClientSession | None = None
    ) -> None:
        """Write the contents of a file to `destination`, an object with `write`."""
        with files.whole_operation(self._timeout):
            file = await self.open_download_stream(file_id, session=session)
            await _copy(file, destination)

    async def download_to_stream_by_name(
        self,
        filename: str,
        destination: Any,
        revision: int = -1,
        session: AsyncClientSession | None = None,
    ) -> None:
        """As `download_to_stream`, of the file that `open_download_stream_by_name` opens."""
        with files.whole_operation(self._timeout):
            file = await self.open_download_stream_by_name(filename, revision, session=session)
            await _copy(file, destination)

    async def delete(self, file_id: Any, session: AsyncClientSession | None = None) -> None:
        """Delete the file with this `_id`; raises NoFile if there is none."""
        files.check_no_transaction(session)
        with files.whole_operation(self._timeout):
            deleted = await self._files.delete_one(files.by_id(file_id), session=session)
            await self._chunks.delete_many(files.chunks_of(file_id), session=session)
        if not deleted.deleted_count:
            raise NoFile(f"nothing to delete: no file has the _id {file_id!r}")

    async def delete_by_name(
        self, filename: str, session: AsyncClientSession | None = None
    ) -> None:
        """Delete all files with this name; raises NoFile if there is none."""
        files.check_no_transaction(session)
        with files.whole_operation(self._timeout):
            found = self._files.find({"filename": filename}, {"_id": 1}, session=session)
            any_of = {"$in": [file["_id"] for file in await every(found)]}
            deleted = await self._files.delete_many({"_id": any_of}, session=session)
            await self._chunks.delete_many({"files_id": any_of}, session=session)
        if not deleted.deleted_count:
            raise NoFile(f"nothing to delete: no file is named {filename!r}")

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

        async for file in bucket.find({"metadata.lang": "en"}).sort("uploadDate", -1).limit(3):
            print(file.filename, file.length)
        """
        return files_of(
            self._collection, filter, skip, limit, no_cursor_timeout, sort, batch_size, session
        )

    async def rename(
        self, file_id: Any, new_filename: str, session: AsyncClientSession | None = None
    ) -> None:
        """Give the file with this `_id` another name; raises NoFile if there is none."""
        files.check_no_transaction(session)
        change = {"$set": {"filename": new_filename}}
        renamed = await self._files.update_one(files.by_id(file_id), change, session=session)
        if not renamed.matched_count:
            raise NoFile(f"nothing to rename: no file has the _id {file_id!r}")

    async def rename_by_name(
        self, filename: str, new_filename: str, session: AsyncClientSession | None = None
    ) -> None:
        """Give all files with this name another one; raises NoFile if there is none."""
        files.check_no_transaction(session)
        change = {"$set": {"filename": new_filename}}
        renamed = await self._files.update_many({"filename": filename}, change, session=session)
        if not renamed.matched_count:
            raise NoFile(f"nothing to rename: no file is named {filename!r}")


async def _fill(file: AsyncGridIn, source: Any) -> None:
    async with file:
        await file.write(source)


async def _copy(file: AsyncGridOut, destination: Any) -> None:
    async with file:
        while chunk := await file.readchunk():
            await answer(destination.write(chunk))
