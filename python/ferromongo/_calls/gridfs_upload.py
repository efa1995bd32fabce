"""A file on its way into GridFS: bytes are cut into chunks, chunks are gathered and inserted.

The engine does it. Collections of other libraries get documents, as do methods that were wrapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import BulkWriteError

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.gridfs_files import raise_file_exists
from ferromongo._calls.scopes import reply_scope
from ferromongo._calls.sessions import collection_session
from ferromongo._calls.write_errors import raise_not_retryable, raise_write_errors
from ferromongo._core import GridUpload, Pending
from ferromongo._pymongo_internals import upload_limits


class EngineUpload:
    """What was written to a file and is not yet in the database, kept by the engine."""

    def __init__(
        self,
        chunks: CollectionBase[Any],
        file_id: Any,
        chunk_size: int,
        is_new: bool,
        api: str,
    ) -> None:
        self._chunks = chunks
        self._file_id = file_id
        self._chunk_size = chunk_size
        self._is_new = is_new
        self._api = api
        # Made when there is something to be stored: an `_id` may be none that can be.
        self._engine: GridUpload | None = None

    @property
    def wanted(self) -> int:
        """How many bytes complete the next chunk."""
        return self._chunk_size if self._engine is None else self._engine.wanted

    @property
    def has_begun(self) -> bool:
        return self._engine is not None and self._engine.has_begun

    @property
    def is_stored(self) -> bool:
        """Chunks of it are in the database, so no other file with chunks has its `_id`."""
        return self._engine is not None and self._engine.is_stored

    @property
    def length(self) -> int:
        """How many bytes are in chunks."""
        return 0 if self._engine is None else self._engine.length

    def completes(self, data: bytes) -> bool:
        """Whether a chunk is whole with `data`."""
        return len(data) >= self.wanted

    def write(self, data: bytes, session: Any) -> Pending[None] | None:
        """Take `data` in; None if nothing has to be sent before there is more."""
        if not data:
            return None
        if self._engine is None:
            self._engine = GridUpload(
                reply_scope(self._chunks),
                self._chunks._name,
                {"files_id": self._file_id},
                min(self._chunk_size, _LARGEST),
                self._is_new,
                self._raise_refused,
            )
        inside = collection_session(session, self._chunks)
        return self._engine.write(data, inside, *upload_limits(self._api))

    def finish(self, session: Any) -> Pending[None] | None:
        """What is left makes the last chunk; None if there is nothing to be sent."""
        if self._engine is None:
            return None
        inside = collection_session(session, self._chunks)
        return self._engine.finish(inside, *upload_limits(self._api))

    def give_up(self, session: Any) -> Pending[None] | None:
        """Before chunks are deleted: have the server carry out nothing later that was sent."""
        if self._engine is None:
            return None
        return self._engine.give_up(collection_session(session, self._chunks))

    def _raise_refused(self, reply: Mapping[str, Any] | None) -> None:
        """The error of an insert that failed. None: there are chunks of another file with this
        `_id`."""
        if reply is None:
            raise_file_exists(self._file_id)
        if failed := reply.get("writeErrors"):
            raise_not_retryable(failed[0], reply)
        raise_write_errors(reply)


class Upload:
    """The same as documents, for an `insert_many` of others."""

    def __init__(self, file_id: Any, chunk_size: int, api: str) -> None:
        self._file_id = file_id
        self._chunk_size = chunk_size
        self._api = api
        self._most_bytes, self._most_chunks = upload_limits(api)
        # The beginning of the next chunk: shorter than a chunk.
        self._rest = bytearray()
        self._number = 0
        self._batch_size = 0
        self.batch: list[dict[str, Any]] = []
        """The chunks to be inserted next."""
        self.length = 0
        """How many bytes are in chunks."""
        self.is_stored = False
        """Chunks of it are in the database, so no other file with chunks has its `_id`."""

    @property
    def wanted(self) -> int:
        """How many bytes complete the next chunk."""
        return self._chunk_size - len(self._rest)

    @property
    def has_begun(self) -> bool:
        return bool(self._number or self._rest)

    @property
    def is_full(self) -> bool:
        """The batch is to be inserted before more is taken."""
        return self._batch_size >= self._most_bytes or len(self.batch) >= self._most_chunks

    def completes(self, data: bytes) -> bool:
        """Whether a chunk is whole with `data`."""
        return len(data) >= self.wanted

    def take(self, data: bytes, start: int = 0) -> int:
        """Cut chunks from `data` until the batch is full; answers where that was."""
        self._most_bytes, self._most_chunks = upload_limits(self._api)
        end = len(data)
        if self._rest:
            stop = min(start + self.wanted, end)
            self._rest += memoryview(data)[start:stop]
            start = stop
            if not self.wanted:
                self._cut_rest()
        while end - start >= self._chunk_size and not self.is_full:
            # All of `data` as one chunk is not copied.
            self._append(data[start : start + self._chunk_size])
            start += self._chunk_size
        if start < end and end - start < self._chunk_size and not self.is_full:
            self._rest += memoryview(data)[start:]
            start = end
        return start

    def finish(self) -> None:
        """What is left makes the last chunk."""
        if self._rest:
            self._cut_rest()

    def inserted(self) -> None:
        """The batch is in the database."""
        self.is_stored = True
        self.batch = []
        self._batch_size = 0

    def raise_insert_error(self, error: BulkWriteError) -> None:
        """What PyMongo raises for chunks: the error of a single insert, or that the file exists."""
        failed = error.details["writeErrors"]
        if any(one.get("code") in _DUPLICATE_KEY for one in failed):
            raise_file_exists(self._file_id)
        raise_write_errors(error.details)

    def _cut_rest(self) -> None:
        self._append(bytes(self._rest))
        self._rest = bytearray()

    def _append(self, data: bytes) -> None:
        self.batch.append({"files_id": self._file_id, "n": self._number, "data": data})
        self._number += 1
        self._batch_size += len(data) + _CHUNK_OVERHEAD
        self.length += len(data)


def source_bytes(data: Any) -> bytes:
    """What a file-like source has read, as bytes."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a file to be stored must be read as bytes, not {type(data)}")


def encoded(data: Any, encoding: str | None) -> bytes:
    """What `write` was given, if it was no file, as bytes."""
    if isinstance(data, bytes):
        return data
    if not isinstance(data, str):
        raise TypeError(f"can only write bytes, str or a file to read from, not {type(data)}")
    if encoding is None:
        raise TypeError("a file that str is written to needs an encoding")
    return data.encode(encoding)


# About what a chunk's document takes besides its data.
_CHUNK_OVERHEAD = 60
# No chunk is as large: what the engine counts with.
_LARGEST = 2**62
_DUPLICATE_KEY = (11000, 11001, 12582)
