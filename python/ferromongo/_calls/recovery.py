"""What recovery decides of a transaction whose outcome nobody knows.

Nothing is sent here. A decision is "committed" or "aborted" only if the server has said so for this
transaction, or if no commit can ever have been sent; all else is "unknown".
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple, overload
from uuid import UUID

from bson import decode
from bson.binary import Binary
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, ConfigurationError, InvalidOperation, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import ClientBase
from ferromongo._calls.openings import Opening
from ferromongo._calls.scopes import make_scope
from ferromongo._calls.transaction_entries import (
    Outcome,
    TransactionEntry,
    TransactionFailure,
    captured,
    failure,
    failure_document,
    key_document,
    origin,
)
from ferromongo._calls.transaction_log import TransactionLog
from ferromongo._calls.write_errors import raise_write_errors
from ferromongo._core import Pending, Scope, Session

Replay = Callable[..., Any] | Literal[True] | None


@dataclass(frozen=True, slots=True)
class RecoveredTransaction:
    """What recovery found out about one transaction."""

    entry: TransactionEntry
    """As it stood in the log."""
    outcome: Outcome
    error: TransactionFailure | None = None
    """Why it was not committed, or why that is unknown."""
    replayed: bool = False
    """Whether it was run again, and that was committed."""
    replay_error: Exception | None = None
    """What running it again failed with."""


class RecoveryReport(Sequence[RecoveredTransaction]):
    """What `recover_transactions` found out: a sequence, with the transactions by outcome."""

    def __init__(self, found: Sequence[RecoveredTransaction]) -> None:
        self._found = tuple(found)

    @property
    def committed(self) -> list[RecoveredTransaction]:
        """Their writes are in the database."""
        return self._of("committed")

    @property
    def aborted(self) -> list[RecoveredTransaction]:
        """Nothing of them is in the database; those that were replayed are there in another one."""
        return self._of("aborted")

    @property
    def unknown(self) -> list[RecoveredTransaction]:
        """Nobody can tell, or could when the server was asked."""
        return self._of("unknown")

    @property
    def replayed(self) -> list[RecoveredTransaction]:
        """Those that were run again with success."""
        return [found for found in self._found if found.replayed]

    def _of(self, outcome: Outcome) -> list[RecoveredTransaction]:
        return [found for found in self._found if found.outcome == outcome]

    @overload
    def __getitem__(self, index: int) -> RecoveredTransaction: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RecoveredTransaction]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[RecoveredTransaction]:
        return iter(self._found)

    def __repr__(self) -> str:
        counts: dict[str, int] = {name: len(self._of(name)) for name in OUTCOMES}
        counts["replayed"] = len(self.replayed)
        return f"<RecoveryReport {', '.join(f'{n} {name}' for name, n in counts.items())}>"

    def _repr_html_(self) -> str:
        from ferromongo._calls import html

        return html.recovery(self)


class Answer(NamedTuple):
    """The server's answer to a commit or an abort that was sent again."""

    outcome: Outcome
    error: TransactionFailure | None
    cluster_time: int | None
    """Seconds."""


class Verdict(NamedTuple):
    """`outcome` is None if the marker document must be looked for."""

    outcome: Outcome | None
    error: TransactionFailure | None = None


def check_arguments(log: Any, replay: Any, is_sync: bool) -> None:
    if not isinstance(log, TransactionLog):
        raise TypeError(f"recover_transactions needs a TransactionLog, not {type(log)}")
    if replay is None or replay is True:
        return
    if not callable(replay):
        raise TypeError(f"replay must be a function, True or None, not {type(replay)}")
    if is_sync and inspect.iscoroutinefunction(replay):
        raise TypeError("an async function needs recover_transactions of an AsyncMongoClient")


@contextmanager
def recovering(log: TransactionLog) -> Iterator[None]:
    """One at a time: two would run the same transactions again."""
    if not log._recovery.acquire(blocking=False):
        raise InvalidOperation("the transaction log is being recovered by another call")
    try:
        yield
    finally:
        log._recovery.release()


def end_again(
    client: ClientBase, found: TransactionEntry
) -> Pending[tuple[Outcome, bytes | None, int | None]]:
    """Send what its state allows: never a commit if none was asked for."""
    client._used = True
    return client._core.end_of_transaction(found.raw, found.state != "open")


def as_answer(result: tuple[Outcome, bytes | None, int | None]) -> Answer:
    outcome, error, cluster_time = result
    return Answer(outcome, None if error is None else failure(decode(error)), cluster_time)


def foreign(client: ClientBase, found: TransactionEntry) -> TransactionFailure | None:
    """Why this client cannot ask about it: its servers have never known the session."""
    ran = origin(found.raw)
    known = client._core.topology_description().server_descriptions().values()
    names = {server.replica_set_name for server in known} - {None}
    hosts = {_address(*host) for server in known for host in server.all_hosts}
    if ran.set_name is not None and names and ran.set_name not in names:
        return TransactionFailure(
            f"it ran on the replica set {ran.set_name!r}, and this client is connected to "
            f"{', '.join(map(repr, sorted(names)))}"
        )
    if ran.hosts and hosts and not ran.hosts & hosts:
        return TransactionFailure(
            f"it ran on {', '.join(sorted(ran.hosts))}, and this client is connected to "
            f"{', '.join(sorted(hosts))}"
        )
    if ran.user != user(client):
        return TransactionFailure(
            f"it was run by {_named(ran.user)}, and this client is {_named(user(client))}: "
            "sessions belong to users"
        )
    return None


def user(client: ClientBase) -> str | None:
    """As an entry has it."""
    credentials = client._settings.options.pool_options._credentials
    return None if credentials is None else f"{credentials.source}.{credentials.username or ''}"


def verdict(
    found: TransactionEntry, answered: Answer, now: datetime, session_timeout: int | None
) -> Verdict:
    """How it ended, from the server's answer to the commit that was sent again.

    :param now: the time of this machine
    :param session_timeout: minutes, as the server says now
    """
    if answered.outcome == "committed":
        return Verdict("committed")
    if found.state == "open":
        # No commit was sent, and none will be, whatever became of the abort.
        return Verdict("aborted", LEFT_OPEN)
    error = answered.error
    code = None if error is None else error.code
    if answered.outcome == "aborted" and code == NO_SUCH_TRANSACTION:
        if not has_expired(found, answered.cluster_time, now, session_timeout):
            return Verdict("aborted", error)
        if found.marker is not None:
            return Verdict(None, EXPIRED)
        return Verdict("unknown", EXPIRED)
    if code == TRANSACTION_TOO_OLD and found.marker is not None:
        return Verdict(None, error)
    return Verdict("unknown", error)


def has_expired(
    found: TransactionEntry,
    cluster_time: int | None,
    now: datetime,
    session_timeout: int | None,
) -> bool:
    """Whether the server may have forgotten the session, so that it does not know what it did.

    Two clocks are asked, that of this machine and the cluster's, and the one that has moved further
    counts.
    """
    ran = origin(found.raw)
    timeouts = (RECORD_LIFETIME, ran.session_timeout, session_timeout)
    lifetime = 60 * min(minutes for minutes in timeouts if minutes is not None)
    return age(found, cluster_time, now) >= lifetime - min(MARGIN, lifetime / 10)


def age(found: TransactionEntry, cluster_time: int | None, now: datetime) -> float:
    """Seconds since the transaction was begun."""
    passed = (now - found.started).total_seconds()
    began = origin(found.raw).cluster_time
    if began is not None and cluster_time is not None:
        passed = max(passed, cluster_time - began)
    return passed


def find_marker(client: ClientBase, found: TransactionEntry) -> Pending[Any]:
    """The marker document, or None. Linearizable: a primary that was replaced does not answer."""
    assert found.marker is not None
    database, _, collection = found.marker.partition(".")
    command = {
        "find": collection,
        "filter": {"_id": key_document(found)},
        "limit": 1,
        "singleBatch": True,
        "maxTimeMS": 30_000,
    }
    scope = make_scope(client, database, read_concern=ReadConcern("linearizable"))
    return scope.find_one(command, None)


def prepare_markers(client: ClientBase, log: TransactionLog) -> Pending[Any] | None:
    """Make the collection of markers, and the index that removes them after a day."""
    if log.marker is None:
        return None
    database, _, collection = log.marker.partition(".")
    index = {"key": {"at": 1}, "name": "at_1", "expireAfterSeconds": MARKER_LIFETIME}
    command: dict[str, Any] = {"createIndexes": collection, "indexes": [index]}
    servers = client._core.topology_description().server_descriptions().values()
    if any(server.max_wire_version >= COMMIT_QUORUM for server in servers):
        # All members by default: it would wait for one that is down.
        command["commitQuorum"] = "majority"
    scope = make_scope(client, database, write_concern=WriteConcern("majority"))
    return scope.write(command, None, False, _checked)


def marked(
    found: TransactionEntry, marker: Any, seconds: float, error: TransactionFailure | None
) -> Verdict:
    """The same when its marker was looked for: nobody can commit it any more.

    :param seconds: its age; markers are removed after a day
    """
    if marker is not None:
        return Verdict("committed")
    if seconds >= MARKER_LIFETIME - 60 * 60:
        return Verdict("unknown", MARKER_EXPIRED)
    return Verdict("aborted", error)


def session_timeout(client: ClientBase) -> int | None:
    minutes: int | None = client._core.topology_description().logical_session_timeout_minutes
    return minutes


def failure_of(error: Exception) -> TransactionFailure:
    labels = sorted(error._error_labels) if isinstance(error, PyMongoError) else []
    return TransactionFailure(str(error), getattr(error, "code", None), tuple(labels))


def log_of(client: ClientBase) -> TransactionLog:
    log = client._settings.transaction_log
    if log is None:
        raise ConfigurationError(
            "the failed transactions are those of the client's log: give it a transaction_log"
        )
    return log


def failed(entries: Sequence[TransactionEntry]) -> list[TransactionEntry]:
    """Those that should have been committed, were not, and were not run again."""
    superseded = set()
    last: dict[UUID, TransactionEntry] = {}
    for found in sorted(entries, key=attrgetter("number")):
        before = last.get(found.session_id)
        # `with_transaction` and `atomic` make their attempts in one session, one after the other.
        if before is not None and before.attempt and found.attempt == before.attempt + 1:
            superseded.add(before.key)
        last[found.session_id] = found
    return [
        found
        for found in entries
        if found.outcome == "aborted"
        and found.error is not None
        and not found.replayed
        and found.key not in superseded
    ]


def listed(found: TransactionEntry) -> Mapping[str, Any]:
    """The session of a transaction as the server would list it."""
    last = found.ended or found.started
    return {"_id": {"id": Binary.from_uuid(found.session_id)}, "lastUse": last}


def stored(log: TransactionLog) -> Opening | None:
    """A cursor over the unfinished entries of a log that is a collection."""
    if log._store is None:
        return None
    known = {"outcome": {"$nin": ["committed", "aborted"]}}
    command = {"find": log._store._name, "filter": known, "sort": {"started": 1}}
    return Opening(_store_scope(log, _RAW), command, None)


def update_stored(log: TransactionLog, done: RecoveredTransaction, now: datetime) -> Pending[Any]:
    """Write the decision into the collection."""
    assert log._store is not None
    error = None if done.error is None else failure_document(done.error, done.replayed)
    change = {"state": "ended", "outcome": done.outcome, "error": error, "ended": now}
    update = {"q": {"_id": key_document(done.entry)}, "u": {"$set": change}}
    command = {"update": log._store._name, "updates": [update]}
    return _store_scope(log, DEFAULT_CODEC_OPTIONS).write(command, None, True, then=_checked)


def may_replay(found: TransactionEntry, replay: Replay) -> bool:
    """Whether to run it again, which is known not to be committed."""
    if replay is True:
        # The statements of one that was open are perhaps not all there were.
        return found.state != "open"
    return replay is not None


def cannot_replay(found: TransactionEntry, replay: Replay) -> ConfigurationError | None:
    """What keeps the captured commands from being run again, if these are wanted and due."""
    if replay is not True or not may_replay(found, replay):
        return None
    if all(command is not None for _, command in captured(found)):
        return None
    return ConfigurationError(
        'replay=True needs all commands: TransactionLog(capture="full") keeps them, up to 64 MB of '
        "a transaction, or 12 MB in a collection"
    )


def replay_commands(
    client: ClientBase, found: TransactionEntry, session: Session
) -> Iterator[Pending[Any]]:
    """The captured writes, one after another."""
    for namespace, command in captured(found):
        assert command is not None  # see cannot_replay
        name = next(iter(command))
        if name in WRITES:
            yield _command(client, namespace.partition(".")[0], name, command, session)


def _command(
    client: ClientBase, database: str, name: str, command: dict[str, Any], session: Session
) -> Pending[Any]:
    scope = make_scope(client, database)
    if name not in STATEMENTS:
        return scope.command(command, session, None, _checked)
    statements = list(command.pop(STATEMENTS[name]))
    run = (command, statements, range(len(statements)))
    ordered = bool(command.get("ordered", True))
    return scope.bulk_write([run], session, ordered, False, False, _checked_totals)


def _checked(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    raise_write_errors(reply)
    return reply


def _checked_totals(totals: dict[str, Any]) -> None:
    if totals["writeErrors"]:
        raise BulkWriteError(totals)


def _store_scope(log: TransactionLog, codec_options: CodecOptions[Any]) -> Scope:
    assert log._store is not None
    database = log._store._database
    return make_scope(
        database._client,
        database._name,
        codec_options=codec_options,
        write_concern=WriteConcern("majority"),
        read_concern=ReadConcern("majority"),
    )


def _address(host: str, port: int | None) -> str:
    """As an entry has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _named(name: str | None) -> str:
    return "nobody" if name is None else f"the user {name.partition('.')[2]!r}"


OUTCOMES: tuple[Outcome, ...] = ("committed", "aborted", "unknown")
COMMIT_QUORUM = 9
"""The wire version of servers that have it: MongoDB 4.4."""
NO_SUCH_TRANSACTION = 251
TRANSACTION_TOO_OLD = 225
"""The session has been used for a later one, which is all that the server knows of it."""
RECORD_LIFETIME = 30
"""Minutes for which servers keep what a session did: TransactionRecordMinimumLifetimeMinutes."""
MARGIN = 60
"""Seconds by which clocks may differ, and a tenth of the session's time at most."""
MARKER_LIFETIME = 24 * 60 * 60
"""Seconds."""
LEFT_OPEN = TransactionFailure("its process ended before it asked for a commit")
EXPIRED = TransactionFailure("the session has expired, so the server does not know the transaction")
MARKER_EXPIRED = TransactionFailure("the session and the marker of the transaction have expired")
STATEMENTS = {"insert": "documents", "update": "updates", "delete": "deletes"}
WRITES = {*STATEMENTS, "findAndModify", "findandmodify", "bulkWrite", "create", "createIndexes"}
_RAW: CodecOptions[Any] = CodecOptions(RawBSONDocument)

for public in (RecoveredTransaction, RecoveryReport):
    public.__module__ = "ferromongo.transaction_log"
