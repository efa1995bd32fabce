"""The chunks of files, read in order and written in batches: all use there is of `fs.chunks`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gridfs.errors import CorruptGridFile
from pymongo.errors import BulkWriteError, CursorNotFound

from ferromongo._calls.gridfs_download import ChunkPlan
from ferromongo._calls.gridfs_files import check_no_transaction
from ferromongo._calls.gridfs_upload import Upload
from ferromongo.asynchronous.collection import AsyncCollection

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.client_session import AsyncClientSession
    from ferromongo.asynchronous.cursor import AsyncCursor
    from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut


async def insert_batch(
    upload: Upload, chunks: AsyncCollection[Any], session: AsyncClientSession | None
) -> None:
    """Send the chunks that an upload has gathered, if any."""
    if not upload.batch:
        return
    try:
        await chunks.insert_many(upload.batch, session=session)
    except BulkWriteError as error:
        upload.raise_insert_error(error)
        raise
    upload.inserted()


class AsyncChunkReader:
    """The chunks of one file from a given one on, read with one cursor and checked."""

    def __init__(
        self,
        chunks: AsyncCollection[Any],
        file: Mapping[str, Any],
        first: int,
        session: AsyncClientSession | None,
        end: int | None = None,
    ) -> None:
        self.plan = ChunkPlan(file, first, end)
        self._chunks = chunks
        self._session = session
        self._cursor: AsyncCursor[Mapping[str, Any]] | None = None

    async def next(self) -> bytes:
        """The data of the next chunk; raises CorruptGridFile if it is not what the file says."""
        chunk = await self._fetch()
        try:
            return self.plan.accept(chunk)
        except CorruptGridFile:
            await self.close()
            raise

    async def check_end(self) -> None:
        """After the last chunk: raise CorruptGridFile if there is one too many."""
        chunk = await self._fetch()
        try:
            self.plan.accept_end(chunk)
        except CorruptGridFile:
            await self.close()
            raise

    async def close(self) -> None:
        if self._cursor is not None:
            cursor, self._cursor = self._cursor, None
            await cursor.close()

    async def _fetch(self) -> Mapping[str, Any] | None:
        try:
            if self._cursor is not None:
                # The server forgets a cursor that nobody reads for ten minutes.
                with contextlib.suppress(CursorNotFound):
                    return await self._cursor.next()
            self._cursor = self._open()
            return await self._cursor.next()
        except StopAsyncIteration:
            return None
        except BaseException:
            # A cursor that failed is over: another read begins with the same chunk anew.
            self._cursor = None
            raise

    def _open(self) -> AsyncCursor[Mapping[str, Any]]:
        check_no_transaction(self._session)
        return self._chunks.find(**self.plan.query(), session=self._session)


class AsyncGridOutIterator:
    """The contents of a file, chunk by chunk."""

    def __init__(
        self, grid_out: AsyncGridOut, chunks: AsyncCollection[Any], session: AsyncClientSession
    ) -> None:
        file = grid_out._document("chunkSize")
        self._reader = AsyncChunkReader(chunks, file, 0, session)

    def __aiter__(self) -> Self:
        return self

    async def next(self) -> bytes:
        """The next chunk; raises StopAsyncIteration after the last."""
        if self._reader.plan.is_done:
            await self._reader.check_end()
            raise StopAsyncIteration
        return await self._reader.next()

    __anext__ = next
