"""A file on its way into GridFS: bytes are cut into chunks, chunks are gathered for one insert."""

from __future__ import annotations

from typing import Any

from pymongo.errors import BulkWriteError

from ferromongo._calls.gridfs_files import chunks_of, raise_file_exists
from ferromongo._calls.write_errors import raise_write_errors
from ferromongo._pymongo_internals import upload_limits


class Upload:
    """What was written to a file and is not yet in the database."""

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
        self.is_in_doubt = False
        """An insert, of the batch or of the file's document, has begun and may not be over."""

    @property
    def wanted(self) -> int:
        """How many bytes complete the next chunk."""
        return self._chunk_size - len(self._rest)

    @property
    def taken(self) -> int:
        """How many bytes were written."""
        return self.length + len(self._rest)

    def own_chunks(self) -> dict[str, Any] | None:
        """A filter for its chunks that are stored or may be, and for no others with its `_id`.

        None if there are none.
        """
        wanted = chunks_of(self._file_id)
        if not self.is_stored:
            # The `_id` may be that of an older file. A chunk has one once it is to be sent.
            sent = [chunk["_id"] for chunk in self.batch if "_id" in chunk]
            if not sent:
                return None
            wanted["_id"] = {"$in": sent}
        return wanted

    @property
    def has_begun(self) -> bool:
        return bool(self._number or self._rest)

    @property
    def is_full(self) -> bool:
        """The batch is to be inserted before more is taken."""
        return self._batch_size >= self._most_bytes or len(self.batch) >= self._most_chunks

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
        self.is_in_doubt = False
        self.batch = []
        self._batch_size = 0

    def raise_insert_error(self, error: BulkWriteError) -> None:
        """What PyMongo raises for chunks: the error of a single insert, or that the file exists."""
        failed = error.details["writeErrors"]
        self.is_in_doubt = False
        if failed:
            del self.batch[failed[0].get("index", 0) :]  # nothing was tried after it
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
_DUPLICATE_KEY = (11000, 11001, 12582)
