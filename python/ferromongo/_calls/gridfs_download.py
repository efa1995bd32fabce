"""A file on its way out of GridFS: which chunks it has, and whether those that come are they.

The engine knows; `ChunkPlan` is for collections of other libraries and methods that were wrapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridfs.errors import CorruptGridFile

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.gridfs_files import check_no_transaction, chunks_of
from ferromongo._calls.scopes import document_scope
from ferromongo._calls.sessions import collection_session
from ferromongo._core import GridDownload, Pending


class EngineDownload:
    """The chunks of a file, read by the engine."""

    def __init__(
        self,
        chunks: CollectionBase[Any],
        file: Mapping[str, Any],
        session: Any,
        end: int | None = None,
    ) -> None:
        """Nothing is read from the position `end` on, if it is given."""
        self._chunks = chunks
        self._session = session
        wanted = chunks_of(file.get("_id"))
        if end is not None and end < file_length(file):
            # The engine adds where they begin.
            wanted["$and"] = [{"n": {"$lt": -(-end // chunk_size(file))}}]
        self._engine = GridDownload(
            document_scope(chunks),
            chunks._name,
            wanted,
            min(max(file_length(file), 0), _LARGEST),
            min(chunk_size(file), _LARGEST),
        )

    def read(self, position: int, count: int, goes_to: int = 0) -> Pending[bytes]:
        inside = self._inside(position)
        return self._engine.read(position, count, inside, min(goes_to, _LARGEST))

    def line(self, position: int, most: int) -> Pending[bytes]:
        return self._engine.line(position, most, self._inside(position))

    def chunk(self, position: int, goes_to: int = 0) -> Pending[bytes]:
        return self._engine.chunk(position, self._inside(position), min(goes_to, _LARGEST))

    def chunk_at_hand(self, position: int) -> bytes | None:
        return self._engine.chunk_at_hand(position)

    def check_end(self, length: int) -> Pending[None]:
        return self._engine.check_end(self._inside(length))

    def close(self) -> Pending[None]:
        return self._engine.close()

    def _inside(self, position: int) -> Any:
        """The session for a cursor that is opened now."""
        if self._engine.opens_at(position):
            check_no_transaction(self._session)
        return collection_session(self._session, self._chunks)


class ChunkPlan:
    """The chunks of a file from the one numbered `next` on, as its document promises them."""

    def __init__(self, file: Mapping[str, Any], first: int, end: int | None = None) -> None:
        """Nothing is read from the position `end` on, if it is given."""
        self._file_id = file.get("_id")
        self._length = file_length(file)
        self._chunk_size = chunk_size(file)
        self.count = -(-self._length // self._chunk_size)
        self.next = first
        self._stop = None if end is None else -(-end // self._chunk_size)

    def query(self) -> dict[str, Any]:
        """The arguments of the find that begins with the next chunk."""
        wanted = chunks_of(self._file_id)
        if self.next > 0:
            wanted["n"] = {"$gte": self.next}
        if self._stop is not None:
            wanted.setdefault("n", {})["$lt"] = self._stop
        return {"filter": wanted, "sort": [("n", 1)]}

    def accept(self, chunk: Mapping[str, Any] | None) -> bytes:
        """The data of the next chunk; raises CorruptGridFile if it is another one, or broken."""
        if chunk is None:
            raise CorruptGridFile(f"chunk {self.next} is missing: the file has {self.count}")
        if chunk["n"] != self.next:
            raise CorruptGridFile(f"chunk {self.next} is missing: the next one is {chunk['n']}")
        data: bytes = chunk["data"]
        is_last = self.next == self.count - 1
        expected = self._length - self.next * self._chunk_size if is_last else self._chunk_size
        if len(data) != expected:
            raise CorruptGridFile(f"chunk {self.next} has {len(data)} bytes instead of {expected}")
        self.next += 1
        return data

    def accept_end(self, chunk: Mapping[str, Any] | None) -> None:
        """What comes after the last chunk: nothing, or an empty chunk, which does no harm."""
        if chunk is not None and len(chunk["data"]):
            raise CorruptGridFile(f"chunk {chunk['n']} is one too many: the file has {self.count}")


def file_length(file: Mapping[str, Any]) -> int:
    # Other drivers may have stored it as a float, or left it out.
    return int(file.get("length", 0))


def chunk_size(file: Mapping[str, Any]) -> int:
    size = int(file.get("chunkSize") or 0)
    if size < 1:
        raise CorruptGridFile(f"a chunk size must be greater than 0: {file.get('chunkSize')!r}")
    return size


def seek_target(offset: int, whence: int, position: int, length: int) -> int:
    """The position that `seek` asks for."""
    if whence not in (0, 1, 2):
        raise OSError(22, f"whence must be 0, 1 or 2, not {whence!r}")
    target = (0, position, length)[whence] + offset
    if target < 0:
        raise OSError(22, f"there is no position {target} in a file")
    return target


def check_range(start: int, end: int | None) -> None:
    """Raise unless the positions are those of a range of bytes; the file may end before it does."""
    for name, position in (("start", start), ("end", end)):
        if position is None and name == "end":
            continue
        if not isinstance(position, int) or isinstance(position, bool):
            raise TypeError(f"{name} must be an instance of int, not {type(position)}")
    if start < 0:
        raise ValueError(f"start must not be negative: {start}")
    if end is not None and end < start:
        raise ValueError(f"end must not be less than start: {end} < {start}")


# No file is as large: what the engine counts with.
_LARGEST = 2**62
