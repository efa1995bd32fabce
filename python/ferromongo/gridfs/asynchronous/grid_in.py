"""AsyncGridIn: a file that is being written to GridFS."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from bson.int64 import Int64
from pymongo.errors import DuplicateKeyError, InvalidOperation, OperationFailure, PyMongoError
from pymongo.read_preferences import ReadPreference

from ferromongo._calls import gridfs_files as files
from ferromongo._calls.gridfs_upload import encoded, source_bytes
from ferromongo._drive import answer, drive, shielded
from ferromongo.asynchronous._iteration import every
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.gridfs.asynchronous.chunks import (
    finish_chunks,
    give_up_chunks,
    upload_of,
    write_chunks,
)

if TYPE_CHECKING:
    from typing import Self

_IS_SYNC = False
_MAX_TIME_BESIDE_A_BLOCK = 5000  # milliseconds
_API = __name__.split(".")[-2]


class AsyncGridIn:
    """A new file: write to it, then close it. `AsyncGridFSBucket.open_upload_stream` makes one.

        async with bucket.open_upload_stream("tea.txt") as file:
            await file.write(b"Put the kettle on.")

    Chunks are gathered and inserted many at a time. The file can be found once it is closed;
    leaving the block with an exception stores no file and takes back the chunks that were stored.
    Attributes that are not the class's own are fields of the file's document: `file.owner = "me"`.
    """

    def __init__(
        self,
        root_collection: AsyncCollection[Any],
        session: AsyncClientSession | None = None,
        **kwargs: Any,
    ) -> None:
        """A file in the bucket `root_collection`, such as `db.fs`.

        :param session: the session all its operations belong to
        :param kwargs: fields of the file's document: `_id`, `filename`, `chunk_size` (255 KiB),
            `content_type`, `metadata`, `encoding` (for what is written as str), and any others

        Raises ConfigurationError unless writes are acknowledged.
        """
        files.check_argument("root_collection", root_collection, AsyncCollection)
        files.check_acknowledged(root_collection.write_concern)
        files.check_no_transaction(session)
        # Past __setattr__, which makes fields of the file's document.
        own = self.__dict__
        own["_closed"] = False
        is_new = "_id" not in kwargs
        own["_file"] = file = files.new_file(kwargs)
        own["_coll"] = files.without_type_registry(
            root_collection, read_preference=ReadPreference.PRIMARY
        )
        own["_chunks"] = own["_coll"].chunks
        own["_session"] = session
        own["_upload"] = upload_of(own["_chunks"], file, is_new, _API)
        own["_has_indexes"] = False
        own["_is_in_doubt"] = False
        own["_own_session"] = None

    _closed: bool
    _has_indexes: bool
    _is_in_doubt: bool
    """The insert of the file's document has begun and may not be over."""
    _own_session: AsyncClientSession | None
    """That of this insert, if the caller knows none that it would be in."""

    _id: Any = files.written_field("_id", "The file's `_id`.")
    filename: str | None = files.written_field("filename", "The file's name.", settable=True)
    name: str | None = files.written_field("filename", "Same as `filename`.", settable=True)
    content_type: str | None = files.written_field(
        "contentType", "The file's media type. Deprecated.", settable=True, deprecated=True
    )
    length: int = files.written_field(
        "length", "How many bytes the file has; not known before `close`.", closed_only=True
    )
    chunk_size: int = files.written_field("chunkSize", "How many bytes make a chunk.")
    upload_date: datetime.datetime = files.written_field(
        "uploadDate", "When the file was closed; not known before.", closed_only=True
    )
    md5: str | None = files.written_field(
        "md5", "None: checksums are no longer made. Deprecated.", closed_only=True, deprecated=True
    )

    @property
    def closed(self) -> bool:
        """Whether the file is closed: nothing can be written then."""
        return self._closed

    def __getattr__(self, name: str) -> Any:
        file: Mapping[str, Any] = self.__dict__.get("_file", {})
        if name in file:
            return file[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ or hasattr(type(self), name):
            object.__setattr__(self, name, value)
            return
        if self._closed:
            if _IS_SYNC:
                send: Any = self.set
                send(name, value)
                return
            raise AttributeError(f"the file is closed: await file.set({name!r}, ...) instead")
        self._file[name] = value

    def _set_field(self, field: str, value: Any) -> None:
        """What the settable properties do."""
        if self._closed:
            if _IS_SYNC:
                send: Any = self.set
                send(field, value)
                return
            raise InvalidOperation(f"the file is closed: await file.set({field!r}, ...) instead")
        self._file[field] = value

    async def set(self, name: str, value: Any) -> None:
        """Set a field of the file's document; of a closed file, in the database too."""
        self._file[name] = value
        if self._closed:
            change = {"$set": {name: value}}
            await self._coll.files.update_one(files.by_id(self._file["_id"]), change)

    async def write(self, data: Any) -> None:
        """Write bytes, all that a file has (its `read` may be a coroutine), or str.

        str needs an `encoding` of the file. Raises ValueError if the file is closed. If the source
        fails midway the upload is aborted.
        """
        if self._closed:
            raise ValueError("cannot write to a closed file")
        if hasattr(data, "read"):
            await self._write_from(data)
        else:
            await self._write_bytes(encoded(data, getattr(self, "encoding", None)))

    async def writelines(self, sequence: Iterable[Any]) -> None:
        """Write one after another, with nothing in between."""
        for line in sequence:
            await self.write(line)

    async def _write_from(self, source: Any) -> None:
        while True:
            try:
                data = await answer(source.read(self._upload.wanted))
            except BaseException:
                if self._upload.is_stored:
                    await self.abort()
                elif self._upload.has_begun:
                    # Nothing to take back: chunks with this `_id` are those of an older file.
                    self._closed = True
                raise
            if not data:
                return
            await self._write_bytes(source_bytes(data))

    async def _write_bytes(self, data: bytes) -> None:
        begun = self._file["chunkSize"] - self._upload.wanted
        files.check_fits(self._session, self._upload.length + begun + len(data))
        if self._upload.completes(data):
            await self._ensure_indexes()
        await write_chunks(self._upload, data, self._chunks, self._session)

    async def _ensure_indexes(self) -> None:
        if self._has_indexes:
            return
        files.check_no_transaction(self._session)
        outside = files.outside_a_transaction(self._coll.database.client, self._session)
        if outside is None:
            await self._make_indexes({}, self._session)
        else:
            # It waits for locks of the transaction, if that has used an empty collection.
            with outside:
                await self._make_indexes({"maxTimeMS": _MAX_TIME_BESIDE_A_BLOCK}, None)
        self._has_indexes = True

    async def _make_indexes(
        self, limit: dict[str, int], session: AsyncClientSession | None
    ) -> None:
        of_files, of_chunks = files.FILES_INDEX, files.CHUNKS_INDEX
        await self._ensure_index(self._coll.files, of_files, limit, session, unique=False)
        await self._ensure_index(self._chunks, of_chunks, limit, session, unique=True)

    async def _ensure_index(
        self,
        collection: AsyncCollection[Any],
        keys: dict[str, int],
        limit: dict[str, int],
        session: AsyncClientSession | None,
        unique: bool,
    ) -> None:
        """Only the first file makes the indexes: on a large collection that would take its time."""
        if await collection.find_one(projection={"_id": 1}, session=session) is not None:
            return
        try:
            indexes = await every(await collection.list_indexes(session=session))
        except OperationFailure:
            indexes = []
        if keys not in [index["key"] for index in indexes]:
            named = list(keys.items())
            await collection.create_index(named, unique=unique, session=session, **limit)

    async def close(self) -> None:
        """Store what was written, then the file's document. Does nothing if closed already.

        Raises FileExists if there is a file with this `_id`.
        """
        if self._closed:
            return
        await self._ensure_indexes()
        await finish_chunks(self._upload, self._chunks, self._session)
        self._file["length"] = Int64(self._upload.length)
        self._file["uploadDate"] = datetime.datetime.now(tz=datetime.UTC)
        self._is_in_doubt = True
        try:
            await self._coll.files.insert_one(self._file, session=self._write_session())
        except DuplicateKeyError:
            self._is_in_doubt = False
            files.raise_file_exists(self._file["_id"])
        self._is_in_doubt = False
        self._closed = True
        await self._end_own_session()

    async def abort(self) -> None:
        """Take back what was stored, and close the file."""
        key = self._file["_id"]
        await give_up_chunks(self._upload, self._session)
        if self._is_in_doubt:
            await self._withdraw_document()
        await self._chunks.delete_many(files.chunks_of(key), session=self._session)
        await self._coll.files.delete_one(files.by_id(key), session=self._session)
        self._closed = True
        await self._end_own_session()

    def read(self, size: int = -1) -> NoReturn:
        """Raises UnsupportedOperation."""
        raise io.UnsupportedOperation("read")

    def readable(self) -> bool:
        """False."""
        return False

    def seekable(self) -> bool:
        """False."""
        return False

    def writeable(self) -> bool:
        """True."""
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> Any:
        """Close the file; after an exception take back what was stored."""
        if exc_val is not None:
            return await shielded(self._take_back(exc_val))
        try:
            await self.close()
        except BaseException as error:
            if not await shielded(self._take_back(error)):
                raise
        return False

    async def _take_back(self, error: BaseException) -> bool:
        """After a failure: leave no chunk behind, and mark it closed.

        Returns False: the error is not handled by that.
        """
        if self._closed:
            return False
        self._closed = True
        if files.in_transaction(self._session):
            if isinstance(error, PyMongoError) or not isinstance(error, Exception):
                return False  # the transaction is over, or ends with the block around
        try:
            with files.time_to_clean_up():
                await give_up_chunks(self._upload, self._session)
                if self._is_in_doubt:
                    await self._withdraw_document()
                if self._upload.is_stored:
                    chunks = files.chunks_of(self._file["_id"])
                    await self._chunks.delete_many(chunks, session=self._session)
                await self._end_own_session()
        except PyMongoError as failure:
            error.add_note(
                f"Chunks of the file with _id {self._file['_id']!r} may have been left behind, as "
                f"{failure!r} came when they were to be deleted: see delete_orphans()"
            )
        return False

    async def _withdraw_document(self) -> None:
        """Delete the file's document, if the insert that may not be over is the one of that.

        It is a retryable write of the session that the insert was made in. The server begins it
        when the insert is over, and refuses one that comes later.
        """
        document = files.by_id(self._file["_id"])
        document["length"] = self._file.get("length", -1)
        document["uploadDate"] = self._file.get("uploadDate")
        await self._coll.files.delete_one(document, session=self._write_session())

    def _write_session(self) -> AsyncClientSession | None:
        client = self._coll.database.client
        if self._own_session is None and files.needs_session(client, self._session):
            self._own_session = AsyncClientSession(client, files.UPLOAD_SESSION)
        return self._own_session or self._session

    async def _end_own_session(self) -> None:
        if self._own_session is not None:
            session, self._own_session = self._own_session, None
            await drive(session._core.end())
