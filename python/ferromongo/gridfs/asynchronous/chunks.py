"""The chunks of files, read in order and written in batches: all use there is of `fs.chunks`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gridfs.errors import CorruptGridFile
from pymongo.errors import BulkWriteError, CursorNotFound

from ferromongo._calls.gridfs_download import (
    ChunkPlan,
    EngineDownload,
    chunk_size,
    file_length,
)
from ferromongo._calls.gridfs_files import check_no_transaction
from ferromongo._calls.gridfs_upload import EngineUpload, Upload
from ferromongo._drive import drive
from ferromongo.asynchronous._iteration import is_own
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.asynchronous.cursor import AsyncCursor

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.client_session import AsyncClientSession
    from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut


def upload_of(
    chunks: AsyncCollection[Any], file: Mapping[str, Any], is_new: bool, api: str
) -> Upload | EngineUpload:
    """A file to be written, with this document. `is_new`: its `_id` was made for it."""
    # Agents that watch a program wrap the public methods.
    if isinstance(chunks, AsyncCollection) and is_own(chunks, "insert_many", _INSERT_MANY):
        return EngineUpload(chunks, file["_id"], file["chunkSize"], is_new, api)
    return Upload(file["_id"], file["chunkSize"], api)


async def write_chunks(
    upload: Upload | EngineUpload,
    data: bytes,
    chunks: AsyncCollection[Any],
    session: AsyncClientSession | None,
) -> None:
    """Have an upload take `data` in, and send what has become enough for that."""
    if isinstance(upload, EngineUpload):
        pending = upload.write(data, session)
        if pending is not None:
            await drive(pending)
        return
    taken = 0
    while taken < len(data):
        taken = upload.take(data, taken)
        if upload.is_full:
            await _insert_batch(upload, chunks, session)


async def finish_chunks(
    upload: Upload | EngineUpload,
    chunks: AsyncCollection[Any],
    session: AsyncClientSession | None,
) -> None:
    """Send what an upload has gathered, if anything."""
    if isinstance(upload, EngineUpload):
        pending = upload.finish(session)
        if pending is not None:
            await drive(pending)
        return
    upload.finish()
    if upload.batch:
        await _insert_batch(upload, chunks, session)


async def give_up_chunks(upload: Upload | EngineUpload, session: AsyncClientSession | None) -> None:
    """Before chunks are deleted: none that was sent is stored after that."""
    if isinstance(upload, EngineUpload):
        pending = upload.give_up(session)
        if pending is not None:
            await drive(pending)


async def _insert_batch(
    upload: Upload, chunks: AsyncCollection[Any], session: AsyncClientSession | None
) -> None:
    try:
        await chunks.insert_many(upload.batch, session=session)
    except BulkWriteError as error:
        upload.raise_insert_error(error)
        raise
    upload.inserted()


def reader_of(
    chunks: AsyncCollection[Any],
    file: Mapping[str, Any],
    session: AsyncClientSession | None,
    end: int | None = None,
) -> AsyncEngineReader | AsyncChunkReader:
    """The contents of a file, whose document this is; up to the position `end`, if there is one."""
    if (
        isinstance(chunks, AsyncCollection)
        and is_own(chunks, "find", _FIND)
        and AsyncCursor._refresh is AsyncCursor._plain_refresh
    ):
        return AsyncEngineReader(chunks, file, session, end)
    return AsyncChunkReader(chunks, file, session, end)


class AsyncEngineReader:
    """The contents of a file, read by the engine. What failed can be repeated."""

    def __init__(
        self,
        chunks: AsyncCollection[Any],
        file: Mapping[str, Any],
        session: AsyncClientSession | None,
        end: int | None = None,
    ) -> None:
        self._file = file
        self._engine = EngineDownload(chunks, file, session, end)

    async def read(self, position: int, count: int, goes_to: int = 0) -> bytes:
        """`count` bytes, which the file must have. At its end no chunk may follow.

        `goes_to`: up to where the caller reads on at once, so that more may be asked for already.
        """
        try:
            return await drive(self._engine.read(position, count, goes_to))
        except (MemoryError, OverflowError):
            # Its document may say more than there is: then a chunk is missing.
            gathered = io.BytesIO()
            while gathered.tell() < count:
                part = await self.chunk(position + gathered.tell())
                gathered.write(part[: count - gathered.tell()])
            return gathered.getvalue()

    async def line(self, position: int, most: int) -> bytes:
        """The same up to and with a newline, at most `most` bytes."""
        return await drive(self._engine.line(position, most))

    async def chunk(self, position: int, goes_to: int = 0) -> bytes:
        """What is left of the chunk there."""
        at_hand = self._engine.chunk_at_hand(position)
        return await drive(self._engine.chunk(position, goes_to)) if at_hand is None else at_hand

    async def check_end(self) -> None:
        """After the last chunk: raise CorruptGridFile if there is one too many."""
        await drive(self._engine.check_end(file_length(self._file)))

    async def close(self) -> None:
        await drive(self._engine.close())


class AsyncChunkReader:
    """The same by public methods: another library's, or wrapped ones."""

    def __init__(
        self,
        chunks: AsyncCollection[Any],
        file: Mapping[str, Any],
        session: AsyncClientSession | None,
        end: int | None = None,
    ) -> None:
        self._file = file
        self._end = end
        self._chunk_size = chunk_size(file)
        self._chunks = chunks
        self._session = session
        self._plan: ChunkPlan | None = None
        self._cursor: AsyncCursor[Mapping[str, Any]] | None = None
        # The chunk that was read last, until its end has been handed out.
        self._chunk = b""
        self._chunk_number = -1

    async def read(self, position: int, count: int, goes_to: int = 0) -> bytes:
        return await self._gather(position, count, until_newline=False)

    async def line(self, position: int, most: int) -> bytes:
        return await self._gather(position, most, until_newline=True)

    async def chunk(self, position: int, goes_to: int = 0) -> bytes:
        start = await self._find(position)
        data = self._chunk[start:]
        self._release(position + len(data))
        return data

    async def check_end(self) -> None:
        plan = self._plan
        if plan is None:
            plan = self._plan = ChunkPlan(self._file, 0)
            plan.next = plan.count
        chunk = await self._fetch(plan)
        try:
            plan.accept_end(chunk)
        except CorruptGridFile:
            await self.close()
            raise

    async def close(self) -> None:
        self._plan = None
        if self._cursor is not None:
            cursor, self._cursor = self._cursor, None
            await cursor.close()

    async def _gather(self, position: int, wanted: int, until_newline: bool) -> bytes:
        # Holds the file once: parts that are joined at the end would be in memory twice.
        gathered = io.BytesIO()
        while wanted:
            start = await self._find(position)
            chunk = self._chunk
            stop = min(start + wanted, len(chunk))
            wanted -= stop - start
            if until_newline and (newline := chunk.find(b"\n", start, stop)) >= 0:
                stop, wanted = newline + 1, 0
            gathered.write(memoryview(chunk)[start:stop])
            position += stop - start
            self._release(position)
        if position >= file_length(self._file):
            await self.check_end()
        return gathered.getvalue()

    async def _find(self, position: int) -> int:
        """Have the chunk at the position; answers where in it that is."""
        number, start = divmod(position, self._chunk_size)
        if number != self._chunk_number:
            plan = self._plan
            if plan is None or plan.next != number:
                await self.close()
                plan = self._plan = ChunkPlan(self._file, number, self._end)
            chunk = await self._fetch(plan)
            try:
                self._chunk = plan.accept(chunk)
            except CorruptGridFile:
                await self.close()
                raise
            self._chunk_number = number
        return start

    def _release(self, position: int) -> None:
        if position >= (self._chunk_number + 1) * self._chunk_size:
            # It has been handed out: a file that is kept open should not keep it.
            self._chunk, self._chunk_number = b"", -1

    async def _fetch(self, plan: ChunkPlan) -> Mapping[str, Any] | None:
        try:
            if self._cursor is not None:
                # The server forgets a cursor that nobody reads for ten minutes.
                with contextlib.suppress(CursorNotFound):
                    return await self._cursor.next()
            self._cursor = self._open(plan)
            return await self._cursor.next()
        except StopAsyncIteration:
            return None
        except BaseException:
            # A cursor that failed is over: another read begins with the same chunk again.
            self._cursor = self._plan = None
            raise

    def _open(self, plan: ChunkPlan) -> AsyncCursor[Mapping[str, Any]]:
        check_no_transaction(self._session)
        return self._chunks.find(**plan.query(), session=self._session)


class AsyncGridOutIterator:
    """The contents of a file, chunk by chunk."""

    def __init__(
        self, grid_out: AsyncGridOut, chunks: AsyncCollection[Any], session: AsyncClientSession
    ) -> None:
        file = grid_out._document("chunkSize")
        self._length = file_length(file)
        self._position = 0
        self._reader = reader_of(chunks, file, session)

    def __aiter__(self) -> Self:
        return self

    async def next(self) -> bytes:
        """The next chunk; raises StopAsyncIteration after the last."""
        if self._position >= self._length:
            await self._reader.check_end()
            raise StopAsyncIteration
        data = await self._reader.chunk(self._position)
        self._position += len(data)
        return data

    __anext__ = next


_FIND, _INSERT_MANY = AsyncCollection.find, AsyncCollection.insert_many
