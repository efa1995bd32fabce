"""Which session an operation runs in: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, TypeAlias

from bson.timestamp import Timestamp
from pymongo.client_session_shared import SessionOptions, TransactionOptions
from pymongo.errors import ConfigurationError, InvalidOperation
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import (
    ClientBase,
    CollectionBase,
    Configured,
    ScopeBase,
    SessionBase,
    check_read_preference,
)
from ferromongo._calls.guard import STARTED, check_outside
from ferromongo._core import Client, Session
from ferromongo._pymongo_internals import ServerMode


class Ambient:
    """What operations use that were given no session, where that is more than a bound session.

    Immutable, as threads and tasks inherit it.
    """

    __slots__ = ("bound", "scopes")

    def __init__(
        self, bound: SessionBase | None, scopes: tuple[tuple[Client, ScopeBase], ...]
    ) -> None:
        self.bound = bound
        self.scopes = scopes
        """The newest first, each with its client's engine."""

    def with_scope(self, scope: ScopeBase) -> Ambient:
        core = scope.client._core
        kept = [entry for entry in self.scopes if entry[0] is not core]
        return Ambient(self.bound, ((core, scope), *kept))

    def of(self, client: ClientBase) -> ScopeBase | SessionBase | None:
        core = client._core
        for owner, scope in self.scopes:
            if owner is core:
                return scope
        return self.bound


Found: TypeAlias = Ambient | ScopeBase | SessionBase | None

AMBIENT: ContextVar[Found] = ContextVar("ferromongo_ambient", default=None)
"""Of this thread or task: a session that `session.bind()` made the default, the scope of one
client, or `Ambient` for all else."""


def ambient() -> Ambient:
    """The same, always as `Ambient`."""
    found = AMBIENT.get()
    if isinstance(found, Ambient):
        return found
    if isinstance(found, ScopeBase):
        return Ambient(None, ((found.client._core, found),))
    return Ambient(found, ())


def used_by(client: ClientBase, found: Found) -> ScopeBase | SessionBase | None:
    """What operations of the client use of it."""
    if isinstance(found, ScopeBase):
        return found if found.client._core is client._core else None
    return found.of(client) if isinstance(found, Ambient) else found


def bind(session: SessionBase) -> Token[Found]:
    """Make the session the default of this thread or task, until `AMBIENT.reset`."""
    scopes = ambient().scopes
    return AMBIENT.set(Ambient(session, scopes) if scopes else session)


def ambient_session(client: ClientBase) -> SessionBase | None:
    """The session of operations of the client that are given none."""
    chosen = used_by(client, AMBIENT.get())
    return chosen.session if isinstance(chosen, ScopeBase) else chosen


def bound_session() -> SessionBase | None:
    """The bound session, if operations of its client use it here."""
    found = ambient()
    bound = found.bound
    return bound if bound is not None and found.of(bound._client) is bound else None


def opened_in(session: Any, core: Session | None) -> Any:
    """The session to show for an operation that was given `session` and runs in `core`."""
    if session is not None or core is None:
        return session
    found = ambient()
    for _, scope in found.scopes:
        if scope.core is core:
            return scope.session
    return found.bound


def core_session(session: Any, client: ClientBase) -> Session | None:
    """The engine's session for an operation of `client` that was given `session`."""
    chosen = session
    if session is None:
        found = AMBIENT.get()
        if found is not None:
            chosen = used_by(client, found)
            if isinstance(chosen, ScopeBase):
                return chosen.join()
    if chosen is None:
        if STARTED.get():
            check_outside(client)
        return None
    if not isinstance(chosen, SessionBase):
        name = client._session_name
        article = "an" if name.startswith("A") else "a"
        raise ValueError(f"session must be {article} {name} or None, not {type(session)}")
    # A proxy of the client has its engine; Motor's client, which Motor's session belongs to, too.
    if chosen._client is not client and chosen._core.client is not client._core:
        raise InvalidOperation("a session can only be used with the client that started it")
    return chosen._core


def collection_session(session: Any, collection: CollectionBase[Any]) -> Session | None:
    return core_session(session, collection._database._client)


def in_transaction(session: Any, client: ClientBase) -> bool:
    inside = core_session(session, client)
    return inside is not None and inside.in_transaction


def is_acknowledged(target: Configured, session: Session | None) -> bool:
    """Whether a write waits for its answer; inside a transaction every one does."""
    if target._write_concern.acknowledged:
        return True
    if session is None:
        return False
    if session.in_transaction:
        return True
    raise ConfigurationError(
        f"an explicit session needs an acknowledged write concern, not {target._write_concern!r}"
    )


def command_preference(given: ServerMode | None, session: Session | None) -> ServerMode:
    """The read preference of helpers that ignore the client's; a transaction has its own."""
    if given is None:
        return ReadPreference.PRIMARY
    check_read_preference(given)
    if given != ReadPreference.PRIMARY and session is not None and session.in_transaction:
        raise InvalidOperation(f"read preference in a transaction must be primary, not: {given!r}")
    return given


def transaction_options(
    session: SessionBase,
    read_concern: ReadConcern | None,
    write_concern: WriteConcern | None,
    read_preference: ServerMode | None,
    max_commit_time_ms: int | None,
) -> TransactionOptions:
    """What was given, else the session's default, else the client's."""
    defaults = session._options.default_transaction_options or TransactionOptions()
    client = session._client
    if max_commit_time_ms is None:
        max_commit_time_ms = defaults.max_commit_time_ms
    return TransactionOptions(
        read_concern or defaults.read_concern or client._read_concern,
        write_concern or defaults.write_concern or client._write_concern,
        read_preference or defaults.read_preference or client._read_preference,
        max_commit_time_ms,
    )


def check_snapshot_time(snapshot_time: Any, options: SessionOptions) -> None:
    if snapshot_time is None:
        return
    if not isinstance(snapshot_time, Timestamp):
        raise TypeError(f"snapshot_time must be a Timestamp, not {type(snapshot_time)}")
    if not options.snapshot:
        raise ConfigurationError("snapshot_time needs snapshot=True")


def check_cluster_time(cluster_time: Any) -> None:
    if not isinstance(cluster_time, Mapping):
        raise TypeError(f"cluster_time must be a mapping, not {type(cluster_time)}")
    if not isinstance(cluster_time.get("clusterTime"), Timestamp):
        raise TypeError("a cluster_time holds a Timestamp under 'clusterTime'")
