"""AsyncGridOut: a file that is read from GridFS."""

from __future__ import annotations

import datetime
import io
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from gridfs.errors import NoFile
from pymongo.errors import InvalidOperation

from ferromongo._calls import gridfs_files as files
from ferromongo._calls.gridfs_download import (
    check_range,
    chunk_size,
    file_length,
    seek_target,
)
from ferromongo._calls.gridfs_files import AsyncFileBase
from ferromongo.asynchronous._iteration import is_own
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.gridfs.asynchronous.chunks import (
    AsyncChunkReader,
    AsyncEngineReader,
    reader_of,
)
from ferromongo.typings import WritableBuffer

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.client_session import AsyncClientSession

_IS_SYNC = False
_NO_REST = (-1, b"")
"""A position and what comes there."""


async def open_version(
    root_collection: AsyncCollection[Any],
    query: Mapping[str, Any],
    version: int,
    session: AsyncClientSession | None,
) -> AsyncGridOut:
    """One of the files that match, by the order of their upload; raises NoFile if there is none."""
    files.check_no_transaction(session)
    skip, direction = files.place_of_version(version)
    found = root_collection.files.find(query, session=session)
    found.limit(-1).skip(skip).sort("uploadDate", direction)
    try:
        file = await anext(found)
    except StopAsyncIteration:
        raise files.no_version(version, query.get("filename")) from None
    return AsyncGridOut(root_collection, file_document=file, session=session)


class AsyncGridOut(AsyncFileBase):
    """A stored file, to be read. `AsyncGridFSBucket.open_download_stream` opens one.

        file = await bucket.open_download_stream_by_name("tea.txt")
        first = await file.readline()

    Nothing is asked of the server before it is needed; the chunks are read in order with one
    cursor. Fields of the file's document that have no property are attributes too.
    """

    def __init__(
        self,
        root_collection: AsyncCollection[Any],
        file_id: Any | None = None,
        file_document: Any | None = None,
        session: AsyncClientSession | None = None,
    ) -> None:
        """A file of the bucket `root_collection`, such as `db.fs`.

        :param file_id: its `_id`
        :param file_document: its document of the collection `files`, if that is known already
        :param session: the session all its operations belong to
        """
        files.check_argument("root_collection", root_collection, AsyncCollection)
        files.check_no_transaction(session)
        super().__init__()
        root_collection = files.without_type_registry(root_collection)
        self._chunks: AsyncCollection[Any] = root_collection.chunks
        self._files: AsyncCollection[Any] = root_collection.files
        self._file_id = file_id
        self._file: Any = file_document
        self._session = session
        self._position = 0
        self._chunk_iter: AsyncEngineReader | AsyncChunkReader | None = None
        self._rest = _NO_REST
        # The end of the range that it was opened for, if not that of the file.
        self._end: int | None = None

    _id: Any = files.read_field("_id", "The file's `_id`.")
    filename: str = files.read_field("filename", "The file's name.")
    name: str = files.read_field("filename", "Same as `filename`.")
    content_type: str | None = files.read_field(
        "contentType", "The file's media type. Deprecated.", deprecated=_IS_SYNC
    )
    length: int = files.read_field("length", "How many bytes the file has.")
    chunk_size: int = files.read_field("chunkSize", "How many bytes make a chunk.")
    upload_date: datetime.datetime = files.read_field("uploadDate", "When it was stored.")
    aliases: list[str] | None = files.read_field(
        "aliases", "Other names. Deprecated.", deprecated=_IS_SYNC
    )
    metadata: Mapping[str, Any] | None = files.read_field("metadata", "What was stored with it.")
    md5: str | None = files.read_field(
        "md5", "The checksum that older drivers stored. Deprecated.", deprecated=_IS_SYNC
    )

    async def open(self) -> None:
        """Fetch the file's document unless it is there; raises NoFile if there is none."""
        if not self._file:
            files.check_no_transaction(self._session)
            query = files.by_id(self._file_id)
            self._file = await self._files.find_one(query, session=self._session)
            if not self._file:
                raise NoFile(f"{self._files.full_name} has no file with _id {self._file_id!r}")

    def _document(self, field: str) -> Mapping[str, Any]:
        """The file's document, of which `field` is wanted."""
        if _IS_SYNC:
            open_now: Any = self.open
            open_now()
        if not self._file:
            raise InvalidOperation(f"AsyncGridOut.open() has to be awaited before {field} is known")
        file: Mapping[str, Any] = self._file
        return file

    def __getattr__(self, name: str) -> Any:
        # Python itself asks for such names; no file is fetched for that.
        if not name.startswith("__"):
            file = self._document(name)
            if name in file:
                return file[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    async def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, fewer at the end of the file; all that is left by default.

        Raises CorruptGridFile for chunks that do not make up the file.
        """
        return await self._read(size, until_newline=False)

    async def readline(self, size: int | None = -1) -> bytes:
        """Read a line with its newline, but at most `size` bytes."""
        if _IS_SYNC and not is_own(self, "read", _READ):
            by_read: Any = super()
            found: bytes = by_read.readline(-1 if size is None else size)
            return found
        return await self._read(size, until_newline=True)

    async def readlines(self, size: int | None = -1) -> list[bytes]:
        """Read lines, until they have more than `size` bytes together; all by default."""
        if _IS_SYNC:
            by_next: Any = super()
            every: list[bytes] = by_next.readlines(-1 if size is None else size)
            return every
        await self.open()
        lines = []
        total = 0
        while line := await self._read(-1, until_newline=True):
            lines.append(line)
            total += len(line)
            if size is not None and 0 < size < total:
                break
        return lines

    async def readchunk(self) -> bytes:
        """Read what is left of the chunk at the current position; empty at the end of the file."""
        return await self._next_part()

    async def _copied_part(self, block: int) -> bytes:
        """What a copy of all of the file goes on with: a chunk, or whole ones of `block` bytes."""
        if is_own(self, "readchunk", _READCHUNK):
            return await self._next_part(block, goes_on=True)
        return await self.readchunk()

    async def _next_part(self, block: int = 0, goes_on: bool = False) -> bytes:
        await self.open()
        left = self._left()
        if not left:
            return b""
        reader, goes_to = self._reader(), self._stop() if goes_on else 0
        if block:
            size = chunk_size(self._file)
            count = min(left, max(block // size, 1) * size)
            data = await reader.read(self._position, count, goes_to)
        else:
            data = (await reader.chunk(self._position, goes_to))[:left]
        self._position += len(data)
        return data

    async def _read(self, size: int | None, until_newline: bool) -> bytes:
        await self.open()
        if not is_own(self, "readchunk", _READCHUNK):
            return await self._read_chunks(size, until_newline)
        wanted = self._wanted(size)
        if not wanted:
            return b""
        reader = self._reader()
        if until_newline:
            data = await reader.line(self._position, wanted)
        else:
            data = await reader.read(self._position, wanted)
        self._position += len(data)
        return data

    def _wanted(self, size: int | None) -> int:
        """How many bytes `size` asks for, of those that are left."""
        left = self._left()
        return left if size is None or size < 0 else min(size, left)

    def _reader(self) -> AsyncEngineReader | AsyncChunkReader:
        if self._chunk_iter is None:
            self._chunk_iter = reader_of(self._chunks, self._file, self._session, self._end)
        return self._chunk_iter

    async def _read_chunks(self, size: int | None, until_newline: bool) -> bytes:
        """The same by a subclass's `readchunk`."""
        begin = self._position
        # Holds the file once: parts that are joined at the end would be in memory twice.
        gathered = io.BytesIO()
        try:
            await self._gather_chunks(gathered, size, until_newline)
            return gathered.getvalue()
        except BaseException:
            # What was read before it failed has not been handed out.
            self._position = begin
            raise

    async def _gather_chunks(
        self, gathered: io.BytesIO, size: int | None, until_newline: bool
    ) -> None:
        """What `readchunk` reads too much is for the next call."""
        wanted = self._wanted(size)
        while wanted > 0:
            begin = self._position
            at, data = self._rest
            if at != begin:
                data = await self.readchunk()
            if not data:
                break
            stop = min(wanted, len(data))
            wanted -= stop
            if until_newline and (newline := data.find(b"\n", 0, stop)) >= 0:
                stop, wanted = newline + 1, 0
            gathered.write(memoryview(data)[:stop])
            self._position = begin + stop
            self._rest = (self._position, data[stop:]) if stop < len(data) else _NO_REST

    def tell(self) -> int:
        """The current position."""
        return self._position

    async def seek(self, pos: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position counted from the start (`whence` 0), from here (1) or the end (2)."""
        end = 0
        if whence == io.SEEK_END:
            await self.open()
            end = self._stop()
        self._position = seek_target(pos, whence, self._position, end)
        return self._position

    async def close(self) -> None:
        """Let the server forget the cursor."""
        await self._close_reader()
        if _IS_SYNC:
            file: Any = super()
            file.close()
        else:
            self.closed = True

    async def _close_reader(self) -> None:
        if self._chunk_iter is not None:
            reader, self._chunk_iter = self._chunk_iter, None
            await reader.close()

    async def readinto(self, buffer: WritableBuffer) -> int:
        """Read into a buffer; returns how many bytes it got, 0 at the end of the file.

            buffer = bytearray(file.length)
            await file.readinto(buffer)

        With it `io.BufferedReader` and `io.TextIOWrapper` take the file of the synchronous API.
        PyMongo has no counterpart.

        :param buffer: a bytearray, a memoryview, an array: any buffer that can be written to. It
            is filled unless the file ends before

        Raises CorruptGridFile for chunks that do not make up the file.
        """
        with memoryview(buffer).cast("B") as view:
            if view.readonly:
                raise TypeError(f"buffer must be one that can be written to, not {type(buffer)}")
            data = await self.read(len(view))
            view[: len(data)] = data
        return len(data)

    async def iter_chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of the file, or of a range of it, about a chunk at a time; then it is closed.

            StreamingResponse(file.iter_chunks())

        Web frameworks take it as the body of a response. `response_head` of
        `ferromongo.gridfs.http` finds the range that a request asks for. Chunks outside of the
        range are not fetched. PyMongo has no counterpart.

        :param start: the position of the first byte
        :param end: the position after the last byte; None for the end of the file

        Raises ValueError for a range that ends before it starts, and CorruptGridFile for chunks
        that do not make up the file.
        """
        try:
            await self.open()
            await self._close_reader()
            self._limit(start, end)
            while data := await self.readchunk():
                yield data
        finally:
            await self.close()

    def _limit(self, start: int, end: int | None) -> None:
        """Read from `start` on, up to `end`."""
        check_range(start, end)
        self._position, self._end = start, end

    def _stop(self) -> int:
        """The position where reading ends."""
        length = file_length(self._file)
        return length if self._end is None else min(self._end, length)

    def _left(self) -> int:
        return max(self._stop() - self._position, 0)

    def __aiter__(self) -> Self:
        """The lines of the file."""
        return self

    async def __anext__(self) -> bytes:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def to_list(self) -> list[bytes]:  # async only
        """The lines from here to the end."""
        return [line async for line in self]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> Any:
        await self.close()
        return False

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """False."""
        return False

    def isatty(self) -> bool:
        """False."""
        return False

    def flush(self) -> None:
        """Does nothing: there is nothing to be written."""

    def write(self, value: Any) -> NoReturn:
        """Raises UnsupportedOperation, like those below."""
        raise io.UnsupportedOperation("write")

    def writelines(self, lines: Any) -> NoReturn:
        raise io.UnsupportedOperation("writelines")

    def truncate(self, size: int | None = None) -> NoReturn:
        raise io.UnsupportedOperation("truncate")

    def fileno(self) -> NoReturn:
        raise io.UnsupportedOperation("fileno")

    def __del__(self) -> None:
        # io's would close the file, and closing may ask the server. A cursor dropped unread is
        # seen to by itself.
        pass


_READ, _READCHUNK = AsyncGridOut.read, AsyncGridOut.readchunk
