"""`TransactionLog`: what became of the transactions of a client, kept where a crash leaves it.

The engine writes it (`src/journal`); here it is opened and read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from bson import encode
from pymongo.errors import InvalidOperation

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.transaction_entries import (
    Outcome,
    TransactionEntry,
    TransactionFailure,
    entry,
    failure_document,
    origin,
)
from ferromongo._core import Journal

if TYPE_CHECKING:
    from typing import Self


class TransactionLog:
    """The transactions of a client: what they did, how they ended, and which ones nobody knows of.

        log = TransactionLog("transactions.log")
        client = MongoClient(uri, transaction_log=log)
        client.recover_transactions(log)  # what an earlier process has left in doubt

    It is iterable, oldest entry first: those that have not ended, and the last `capacity` of
    those that have. See `docs/transaction_log.md`.
    """

    def __init__(
        self,
        path_or_collection: str | os.PathLike[str] | CollectionBase[Any] | None = None,
        *,
        capacity: int = 1000,
        capture: Literal["commands", "full"] = "commands",
        max_bytes: int | None = None,
        marker: bool | str = False,
    ) -> None:
        """Open the log. A file is created if there is none; one of an earlier process is continued.

        :param path_or_collection: a file, or a collection of any client; the log is kept in memory
            only if not given. Each process needs a log of its own
        :param capacity: how many ended transactions stay in memory
        :param capture: "full" keeps the commands with their documents
        :param max_bytes: a larger file is moved to `PATH.1`, in place of the one before
        :param marker: have each transaction write a document of its own, by which its outcome can
            be found out after its session has expired; True, or "database.collection"

        Raises ConfigurationError for a file that another process uses or whose contents are
        damaged, TransactionLogError for one that cannot be opened.
        """
        _check_number("capacity", capacity, 0)
        if max_bytes is not None:
            _check_number("max_bytes", max_bytes, 1)
        if capture not in ("commands", "full"):
            raise ValueError(f'capture must be "commands" or "full", not {capture!r}')
        self.path: str | None = None
        """The file."""
        self._recovery = threading.Lock()
        self._store = _collection(path_or_collection)
        self.captures = capture == "full"
        """Whether it keeps commands with their documents."""
        self.marker = _marker(marker)
        """The collection of marker documents."""
        if self._store is None:
            if path_or_collection is not None:
                self.path = _path(path_or_collection)
            elif max_bytes is not None:
                raise ValueError("max_bytes is for a log in a file")
            self._core = Journal(self.path, capacity, max_bytes, self.captures, self.marker)
            return
        if max_bytes is not None:
            raise ValueError("max_bytes is for a log in a file")
        database = self._store._database
        database._client._used = True
        self._core = Journal.of_collection(
            database._client._core,
            database._name,
            self._store._name,
            capacity,
            self.captures,
            self.marker,
        )

    @staticmethod
    def read(path: str | os.PathLike[str]) -> list[TransactionEntry]:
        """The entries of a file, which another process may be writing; an incomplete last one is
        left out.

        Raises ConfigurationError for damaged contents, TransactionLogError for a file that cannot
        be read.
        """
        return [entry(raw) for raw in Journal.read(_path(path))]

    def __iter__(self) -> Iterator[TransactionEntry]:
        """The transactions as they are now, oldest first."""
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self._core.entries())

    def __bool__(self) -> bool:
        """True also for an empty log."""
        return True

    def entries(self) -> list[TransactionEntry]:
        """The same as a list."""
        return [entry(raw) for raw in self._core.entries()]

    def unfinished(self) -> list[TransactionEntry]:
        """Those whose outcome is not known and that nobody in this process will end."""
        return [entry(raw) for raw in self._core.entries() if is_unfinished(raw)]

    def to_dicts(self) -> list[dict[str, Any]]:
        """The transactions as plain values, for a data frame or JSON."""
        return [found.to_dict() for found in self]

    def resolve(
        self,
        found: TransactionEntry,
        outcome: Outcome,
        error: TransactionFailure | None = None,
        replayed: bool = False,
    ) -> None:
        """Write down how a transaction ended, if that was found out elsewhere.

        `recover_transactions` does this for those that it decides. A log in a collection is changed
        in memory only.

        :param replayed: it was not committed, and has been run again with success

        Raises InvalidOperation if the log knows how it ended, or a session of this process still
        has it.
        """
        if outcome not in ("committed", "aborted", "unknown"):
            allowed = '"committed", "aborted" or "unknown"'
            raise ValueError(f"outcome must be {allowed}, not {outcome!r}")
        if not isinstance(found, TransactionEntry):
            raise TypeError(f"resolve needs a TransactionEntry, not {type(found)}")
        for raw in self._core.entries():
            known = entry(raw)
            if known.key != found.key:
                continue
            if origin(raw).is_living:
                raise InvalidOperation("a session of this process still has the transaction")
            if not known.is_unfinished:
                raise InvalidOperation(f"the log knows that the transaction was {known.outcome}")
        self._write_down(found, outcome, error, replayed)

    def _write_down(
        self,
        found: TransactionEntry,
        outcome: Outcome,
        error: TransactionFailure | None,
        replayed: bool,
    ) -> None:
        """The same, whatever is known."""
        if replayed and error is None:
            error = found.error or TransactionFailure("it was not committed")
        document = None if error is None else encode(failure_document(error, replayed))
        self._core.resolve(found.raw, outcome, document)

    def close(self) -> None:
        """Close the file; transactions of clients with this log raise from then on."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._store is not None:
            place = f"{self._store._database._name}.{self._store._name}"
        else:
            place = "in memory" if self.path is None else repr(self.path)
        return f"<TransactionLog {place}: {len(self)} transactions>"

    def _repr_html_(self) -> str:
        from ferromongo._calls import html

        return html.transaction_log(self)


def is_unfinished(raw: bytes) -> bool:
    """Whether recovery has something to find out."""
    return entry(raw).is_unfinished and not origin(raw).is_living


def validate_log(value: Any) -> TransactionLog | None:
    """The client's option."""
    if value is not None and not isinstance(value, TransactionLog):
        raise TypeError(f"transaction_log must be a TransactionLog, not {type(value)}")
    return value


def _collection(place: Any) -> CollectionBase[Any] | None:
    if isinstance(place, CollectionBase):
        return place
    if place is None or isinstance(place, (str, os.PathLike)):
        return None
    delegate = getattr(place, "delegate", None)  # of Motor's collection
    return delegate if isinstance(delegate, CollectionBase) else None


def _path(path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"a transaction log is a path, a collection, or None, not {type(path)}")
    return os.path.abspath(os.fsdecode(path))


def _marker(marker: Any) -> str | None:
    if isinstance(marker, str):
        database, _, name = marker.partition(".")
        if not database or not name:
            raise ValueError(f'marker must be "database.collection", not {marker!r}')
        return marker
    if not isinstance(marker, bool):
        raise TypeError(f"marker must be a bool or a str, not {type(marker)}")
    return MARKERS if marker else None


def _check_number(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {type(value)}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


MARKERS = "ferromongo.transaction_markers"

for public in (TransactionLog,):
    public.__module__ = "ferromongo.transaction_log"
