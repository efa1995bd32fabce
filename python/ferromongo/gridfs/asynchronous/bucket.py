"""AsyncGridFSBucket: GridFS as all of MongoDB's drivers have it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bson.objectid import ObjectId
from gridfs import DEFAULT_CHUNK_SIZE
from gridfs.errors import NoFile
from pymongo.common import validate_string
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from ferromongo._calls import gridfs_files as files
from ferromongo._calls import gridfs_orphans
from ferromongo._calls.gridfs_download import check_range
from ferromongo._calls.gridfs_local import check_path
from ferromongo._calls.gridfs_orphans import Orphans
from ferromongo._calls.gridfs_progress import Progress
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous._iteration import every
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.gridfs.asynchronous.grid_in import AsyncGridIn
from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut, open_version
from ferromongo.gridfs.asynchronous.grid_out_cursor import AsyncGridOutCursor, files_of
from ferromongo.gridfs.asynchronous.transfers import copy, copy_to_path, fill

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
    `session` is the session an operation belongs to. Its transaction can have operations of buckets
    that were made with `transactions=True`; in other buckets they raise InvalidOperation. A
    client's timeoutMS limits a method of the bucket as a whole; of an open file, each operation.
    An upload that fails or is cancelled leaves no chunk behind.

    Methods that transfer a whole file take `progress`: a function that is called with how many
    bytes were transferred and how many there are (None if not known), first with 0 bytes, then
    about once a chunk; it may be a coroutine function. If it raises, the transfer is undone. True
    shows a bar of tqdm, if that is installed.
    """

    def __init__(
        self,
        db: AsyncDatabase[Any],
        bucket_name: str = "fs",
        chunk_size_bytes: int = DEFAULT_CHUNK_SIZE,
        write_concern: WriteConcern | None = None,
        read_preference: ServerMode | None = None,
        *,
        transactions: bool = False,
    ) -> None:
        """Files in `bucket_name.files` and `bucket_name.chunks` of the database.

        :param chunk_size_bytes: how many bytes make a chunk of a new file, 255 KiB by default
        :param write_concern: how many members must confirm a write; else the database's
        :param read_preference: which members reads may go to; else the database's
        :param transactions: operations with the session of a transaction are part of it, as
            other operations are. A file that is uploaded so may have 32 MiB. PyMongo refuses them

        Raises ConfigurationError unless writes are acknowledged.
        """
        files.check_argument("database", db, AsyncDatabase)
        files.check_acknowledged(write_concern or db.write_concern)
        self._bucket_name = bucket_name
        self._collection: AsyncCollection[Any] = files.without_type_registry(
            db, write_concern=write_concern, read_preference=read_preference
        )[bucket_name]
        self._files = self._collection.files
        self._chunks = self._collection.chunks
        self._chunk_size_bytes = chunk_size_bytes
        self._timeout = files.time_limit(db)
        self._transactions = bool(transactions)

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
        files.admit(session, self._transactions)
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
        *,
        progress: Progress | bool | None = None,
    ) -> ObjectId:
        """Store bytes, or all that a file has, as a new file; returns its `_id`.

        :param source: bytes, a `pathlib.Path`, or an object with `read`, which may be a coroutine
        :param progress: a function of (done, total), or True for a bar: see the class. PyMongo
            has none, and no paths

        The others are as in `open_upload_stream`.
        """
        with files.whole_operation(self._timeout):
            file = self.open_upload_stream(filename, chunk_size_bytes, metadata, session)
            await fill(file, source, progress)
        return cast("ObjectId", file._id)

    async def upload_from_stream_with_id(
        self,
        file_id: Any,
        filename: str,
        source: Any,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AsyncClientSession | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> None:
        """As `upload_from_stream`, with an `_id` that no file has yet."""
        with files.whole_operation(self._timeout):
            file = self.open_upload_stream_with_id(
                file_id, filename, chunk_size_bytes, metadata, session
            )
            await fill(file, source, progress)

    async def upload_from_path(
        self,
        path: str | PathLike[str],
        filename: str | None = None,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AsyncClientSession | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> ObjectId:
        """Store a local file as a new file; returns its `_id`.

            key = await bucket.upload_from_path("photos/tea.jpg", metadata={"album": 7})

        It is read by another thread, so the event loop goes on. PyMongo's counterpart is `open` and
        `upload_from_stream`.

        :param path: a local file
        :param filename: the name in the bucket; the last part of the path if not given
        :param progress: a function of (done, total), or True for a bar: see the class

        The others are as in `open_upload_stream`. Raises OSError if the file cannot be read.
        """
        local = Path(check_path(path))
        name = local.name if filename is None else filename
        return await self.upload_from_stream(
            name, local, chunk_size_bytes, metadata, session, progress=progress
        )

    async def open_download_stream(
        self,
        file_id: Any,
        session: AsyncClientSession | None = None,
        *,
        start: int = 0,
        end: int | None = None,
    ) -> AsyncGridOut:
        """Open the file with this `_id`; raises NoFile if there is none.

            file = await bucket.open_download_stream(key, start=1000, end=2000)
            print(len(await file.read()))

        :param start: the position of the first byte to be read; positions are those of the file
        :param end: the position after the last byte: reading ends there. Only the chunks of the
            range are fetched. PyMongo has no ranges

        Raises ValueError for a range that ends before it starts.
        """
        files.admit(session, self._transactions)
        check_range(start, end)
        file = AsyncGridOut(self._collection, file_id, session=session)
        await file.open()
        file._limit(start, end)
        return file

    async def open_download_stream_by_name(
        self,
        filename: str,
        revision: int = -1,
        session: AsyncClientSession | None = None,
        *,
        start: int = 0,
        end: int | None = None,
    ) -> AsyncGridOut:
        """Open one of the files with this name; raises NoFile if there is none.

        :param revision: 0 is the first that was stored, 1 the second; -1 the newest, -2 the one
            before

        The others are as in `open_download_stream`.
        """
        validate_string("filename", filename)
        files.admit(session, self._transactions)
        check_range(start, end)
        query = {"filename": filename}
        file = await open_version(self._collection, query, revision, session)
        file._limit(start, end)
        return file

    async def download_to_stream(
        self,
        file_id: Any,
        destination: Any,
        session: AsyncClientSession | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> None:
        """Write the contents of a file to `destination`.

        :param destination: an object with `write`, which may be a coroutine, or a `pathlib.Path`,
            as in `download_to_path`
        :param progress: a function of (done, total), or True for a bar: see the class. PyMongo
            has none, and no paths
        """
        with files.whole_operation(self._timeout):
            file = await self.open_download_stream(file_id, session=session)
            await copy(file, destination, progress)

    async def download_to_stream_by_name(
        self,
        filename: str,
        destination: Any,
        revision: int = -1,
        session: AsyncClientSession | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> None:
        """As `download_to_stream`, of the file that `open_download_stream_by_name` opens."""
        with files.whole_operation(self._timeout):
            file = await self.open_download_stream_by_name(filename, revision, session=session)
            await copy(file, destination, progress)

    async def download_to_path(
        self,
        file_id: Any,
        path: str | PathLike[str],
        session: AsyncClientSession | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> None:
        """Make a local file of a file.

            await bucket.download_to_path(key, "photos/tea.jpg")

        It is written under a temporary name beside `path`, by another thread, and renamed when it
        is whole. So an existing file is replaced at the end; if the download fails or is cancelled
        it remains as it was, and nothing else is left. PyMongo's counterpart is `open` and
        `download_to_stream`.

        :param path: the local file, in a directory that exists
        :param progress: a function of (done, total), or True for a bar: see the class

        Raises NoFile if there is no such file, and OSError if the local one cannot be written.
        """
        local = check_path(path)
        with files.whole_operation(self._timeout):
            file = await self.open_download_stream(file_id, session=session)
            await copy_to_path(file, local, progress)

    async def download_to_path_by_name(
        self,
        filename: str,
        path: str | PathLike[str],
        revision: int = -1,
        session: AsyncClientSession | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> None:
        """As `download_to_path`, of the file that `open_download_stream_by_name` opens."""
        local = check_path(path)
        with files.whole_operation(self._timeout):
            file = await self.open_download_stream_by_name(filename, revision, session=session)
            await copy_to_path(file, local, progress)

    async def find_orphans(
        self, older_than: timedelta = gridfs_orphans.DEFAULT_AGE
    ) -> list[Orphans]:
        """The chunks that belong to no file: what uploads of programs that were killed have left.

            for one in await bucket.find_orphans():
                print(one.files_id, one.chunks, one.length, one.newest)

        The chunks of an upload that is under way belong to no file yet. What tells them apart is
        the time at which the last of them was made, by the `_id` that its program gave it. So
        `older_than` must be longer than any upload pauses, and than clocks differ. It reads the
        index of the chunks, on the primary. PyMongo has no counterpart.

        :param older_than: how long no chunk of such a file was made; a day if not given

        Returns an `Orphans` for each missing file: `files_id`, `chunks`, `length` in bytes,
        `newest` (a datetime).
        """
        before = gridfs_orphans.youngest(older_than, datetime.now(UTC))
        files.check_no_transaction(None)
        pipeline = gridfs_orphans.pipeline(self._files.name, self._chunks.name, before)
        chunks = self._chunks.with_options(read_preference=ReadPreference.PRIMARY)
        with files.whole_operation(self._timeout):
            found = await every(await chunks.aggregate(pipeline, allowDiskUse=True))
        return [gridfs_orphans.orphans(document) for document in found]

    async def delete_orphans(
        self, older_than: timedelta = gridfs_orphans.DEFAULT_AGE
    ) -> list[Orphans]:
        """Delete the chunks that `find_orphans` finds; returns what was deleted.

            freed = sum(one.length for one in await bucket.delete_orphans())

        :param older_than: as in `find_orphans`; what is newer stays. Read there what it must be
        """
        deleted = []
        primary = self._files.with_options(read_preference=ReadPreference.PRIMARY)
        for one in await self.find_orphans(older_than):
            # The file may have been stored since.
            if await primary.find_one(files.by_id(one.files_id), {"_id": 1}) is None:
                await self._chunks.delete_many(files.chunks_of(one.files_id))
                deleted.append(one)
        return deleted

    async def delete(self, file_id: Any, session: AsyncClientSession | None = None) -> None:
        """Delete the file with this `_id`; raises NoFile if there is none."""
        files.admit(session, self._transactions)
        with files.whole_operation(self._timeout):
            deleted = await self._files.delete_one(files.by_id(file_id), session=session)
            await self._chunks.delete_many(files.chunks_of(file_id), session=session)
        if not deleted.deleted_count:
            raise NoFile(f"nothing to delete: no file has the _id {file_id!r}")

    async def delete_by_name(
        self, filename: str, session: AsyncClientSession | None = None
    ) -> None:
        """Delete all files with this name; raises NoFile if there is none."""
        files.admit(session, self._transactions)
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
        files.admit(session, self._transactions)
        return files_of(
            self._collection, filter, skip, limit, no_cursor_timeout, sort, batch_size, session
        )

    async def rename(
        self, file_id: Any, new_filename: str, session: AsyncClientSession | None = None
    ) -> None:
        """Give the file with this `_id` another name; raises NoFile if there is none."""
        files.admit(session, self._transactions)
        change = {"$set": {"filename": new_filename}}
        renamed = await self._files.update_one(files.by_id(file_id), change, session=session)
        if not renamed.matched_count:
            raise NoFile(f"nothing to rename: no file has the _id {file_id!r}")

    async def rename_by_name(
        self, filename: str, new_filename: str, session: AsyncClientSession | None = None
    ) -> None:
        """Give all files with this name another one; raises NoFile if there is none."""
        files.admit(session, self._transactions)
        change = {"$set": {"filename": new_filename}}
        renamed = await self._files.update_many({"filename": filename}, change, session=session)
        if not renamed.matched_count:
            raise NoFile(f"nothing to rename: no file is named {filename!r}")
