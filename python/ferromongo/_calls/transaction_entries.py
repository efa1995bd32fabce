"""What a transaction log knows of one transaction: the engine's BSON as typed values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from bson import decode
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

Outcome = Literal["committed", "aborted", "unknown"]
Key = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class TransactionStatement:
    """One operation of a transaction."""

    command: str
    """The server's name for it: "insert", "update", "find", ..."""
    namespace: str
    """Database and collection."""
    body: Mapping[str, Any] | None = None
    """The command with its documents, if the log captures them (`capture="full"`)."""

    def to_dict(self) -> dict[str, Any]:
        kept = {"command": self.command, "namespace": self.namespace}
        return kept if self.body is None else {**kept, "body": self.body}


@dataclass(frozen=True, slots=True)
class TransactionFailure:
    """The error that a transaction ended with, or the first one in it."""

    message: str
    code: int | None = None
    labels: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"message": self.message, "code": self.code, "labels": list(self.labels)}

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class TransactionEntry:
    """One transaction of a log. Those that the callback API or `atomic` runs again are several."""

    session_id: UUID
    number: int
    """The server's number of the transaction in its session."""
    state: Literal["open", "committing", "ended"]
    """Whether only statements were sent, a commit may have been sent, or its end is known."""
    outcome: Outcome | None
    """None before its end. "unknown": a commit was sent, and its answer never arrived."""
    error: TransactionFailure | None
    statements: tuple[TransactionStatement, ...]
    started: datetime
    """When the first statement was sent (UTC)."""
    ended: datetime | None
    committing: datetime | None
    """When its commit was first about to be sent."""
    commits: int
    """How often the commit was sent, as far as it was recorded."""
    process: int | None
    """The process that ran it."""
    attempt: int = 0
    """Which attempt at the same transaction it is, by `with_transaction` or `atomic`; else 0."""
    read_concern: Mapping[str, Any] | None = None
    write_concern: Mapping[str, Any] | None = None
    marker: str | None = None
    """The collection with its marker document, if it has written one."""
    replayed: bool = False
    """Whether it failed and was run again with success."""
    raw: bytes = field(default=b"", repr=False, compare=False)
    """The entry as the engine wrote it."""

    def __hash__(self) -> int:
        return hash(self.key)  # what was captured has none

    @property
    def key(self) -> Key:
        """What identifies the transaction."""
        return self.session_id, self.number

    @property
    def is_unfinished(self) -> bool:
        """Whether its outcome is not known."""
        return self.outcome not in ("committed", "aborted")

    @property
    def summary(self) -> str:
        """Its different statements, in short: `insert shop.orders (3), update shop.stock`."""
        counts = Counter(f"{each.command} {each.namespace}" for each in self.statements)
        shown = [name if n == 1 else f"{name} ({n})" for name, n in counts.items()]
        return ", ".join(shown[:SHOWN]) + (", ..." if len(shown) > SHOWN else "")

    @property
    def duration(self) -> timedelta | None:
        """From the first statement to the end."""
        return None if self.ended is None else self.ended - self.started

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON or a data frame."""
        return {
            "session_id": self.session_id,
            "number": self.number,
            "state": self.state,
            "outcome": self.outcome,
            "error": None if self.error is None else self.error.to_dict(),
            "statements": [statement.to_dict() for statement in self.statements],
            "started": self.started,
            "ended": self.ended,
            "committing": self.committing,
            "commits": self.commits,
            "process": self.process,
            "attempt": self.attempt,
            "read_concern": self.read_concern,
            "write_concern": self.write_concern,
            "marker": self.marker,
            "replayed": self.replayed,
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a transaction ran, and what recovery must know about its session."""

    set_name: str | None
    hosts: frozenset[str]
    user: str | None
    """Its source and its name; None if it was not noted."""
    session_timeout: int | None
    """Minutes, as the server said."""
    cluster_time: int | None
    """Seconds, as last seen before the commit."""
    is_living: bool
    """A session of this process still has the transaction, and may end it."""


def entry(raw: bytes) -> TransactionEntry:
    document = decode(raw, _OPTIONS)
    error = document.get("error")
    return TransactionEntry(
        session_id=_uuid(document["lsid"]),
        number=int(document["txnNumber"]),
        state=document["state"],
        outcome=document.get("outcome"),
        error=None if error is None else failure(error),
        statements=tuple(map(_statement, document.get("statements", ()))),
        started=document["started"],
        ended=document.get("ended"),
        committing=document.get("committing"),
        commits=int(document.get("commits", 0)),
        process=_number(document.get("pid")),
        attempt=int(document.get("attempt", 0)),
        read_concern=document.get("readConcern"),
        write_concern=document.get("writeConcern"),
        marker=document.get("marker"),
        replayed=error is not None and REPLAYED in error.get("labels", ()),
        raw=raw,
    )


def origin(raw: bytes) -> Origin:
    document = decode(raw, _OPTIONS)
    return Origin(
        set_name=document.get("setName"),
        hosts=frozenset(document.get("hosts", ())),
        user=document.get("user"),
        session_timeout=_number(document.get("sessionTimeoutMinutes")),
        cluster_time=_number(document.get("clusterTime")),
        is_living=bool(document.get("living", False)),
    )


def failure(document: Mapping[str, Any]) -> TransactionFailure:
    return TransactionFailure(
        str(document.get("message", "")),
        _number(document.get("code")),
        tuple(label for label in document.get("labels", ()) if label != REPLAYED),
    )


def failure_document(error: TransactionFailure, replayed: bool) -> dict[str, Any]:
    """The same as an entry has it."""
    code = {} if error.code is None else {"code": error.code}
    labels = [*error.labels, REPLAYED] if replayed else list(error.labels)
    return {"message": error.message, **code, "labels": labels}


def key_document(entry: TransactionEntry) -> dict[str, Any]:
    """The `_id` of its marker, and of the entry in a collection."""
    return {"lsid": Binary.from_uuid(entry.session_id), "txnNumber": entry.number}


def captured(entry: TransactionEntry) -> list[tuple[str, dict[str, Any] | None]]:
    """The namespace and the command of each statement, to be sent again: what is nested in a
    command stays the bytes it was."""
    statements = RawBSONDocument(entry.raw).get("statements", ())
    return [(found["ns"], dict(found["body"]) if "body" in found else None) for found in statements]


def _statement(document: Mapping[str, Any]) -> TransactionStatement:
    return TransactionStatement(document["command"], document.get("ns", ""), document.get("body"))


def _uuid(value: Binary | UUID | bytes) -> UUID:
    return value if isinstance(value, UUID) else UUID(bytes=bytes(value))


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


SHOWN = 10
REPLAYED = "ReplayedTransaction"
"""A label in the log only."""
_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
