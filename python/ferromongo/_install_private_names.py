"""Private names of PyMongo's classes that libraries use and ferromongo has values for.

`install` offers them, since programs that reach for them import PyMongo. Each line says who needs
it. One more is a method of ferromongo's cursors with or without `install`: `_refresh`, which brings
the next batch. Elastic APM wraps it, and locust-plugins calls it to have the query sent.

Not offered, since there is nothing to show: `Cursor._data` (documents are decoded one by one as
they are taken; no library was found that uses it), `MongoClient._get_socket` and all that lends
connections, `Cursor._query_spec`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.command_cursor import AsyncCommandCursor
from ferromongo.asynchronous.cursor import AsyncCursor
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.synchronous.client_session import ClientSession
from ferromongo.synchronous.command_cursor import CommandCursor
from ferromongo.synchronous.cursor import Cursor
from ferromongo.synchronous.mongo_client import MongoClient


class _Topology:
    """`MongoClient._topology`, to look at."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def description(self) -> Any:
        return self._client.topology_description

    _description = description

    def max_cluster_time(self) -> Mapping[str, Any] | None:
        """The newest that a server has sent, for `session.advance_cluster_time`."""
        newest: Mapping[str, Any] | None = self._client._core.cluster_time()
        return newest


class _ServerSession:
    """`ClientSession._server_session`, to look at."""

    def __init__(self, session: Any) -> None:
        self.session_id: Mapping[str, Any] = session.session_id


def _server_session(session: Any) -> _ServerSession | None:
    return None if session.has_ended else _ServerSession(session)


_SYNC: tuple[type, ...] = (Cursor, CommandCursor)
_ASYNC: tuple[type, ...] = (AsyncCursor, AsyncCommandCursor)
_FINDING: tuple[type, ...] = (Cursor, AsyncCursor)
_SESSIONS: tuple[type, ...] = (ClientSession, AsyncClientSession)
_CLIENTS: tuple[type, ...] = (MongoClient, AsyncMongoClient)

# Classes, name, what it is there.
NAMES: tuple[tuple[tuple[type, ...], str, Callable[..., Any] | property], ...] = (
    # No library that was looked at, but programs' own tracers and query loggers.
    (_FINDING, "_spec", property(lambda cursor: cursor._query.filter)),
    (_SYNC + _ASYNC, "_id", property(lambda cursor: cursor.cursor_id)),
    (_SYNC + _ASYNC, "_retrieved", property(lambda cursor: cursor.retrieved)),
    (_SYNC + _ASYNC, "_address", property(lambda cursor: cursor.address)),
    # Programs that log which session wrote: `session._server_session.session_id`.
    (_SESSIONS, "_server_session", property(_server_session)),
    # Programs' health checks: `client._topology.description`, `client._closed`; PyMongo's tests,
    # and those of libraries that copied their runner: `client._topology.max_cluster_time()`.
    (_CLIENTS, "_topology", property(_Topology)),
    (_CLIENTS, "_closed", property(lambda client: client._core.closed)),
    # Code for PyMongo 3 and 4.0, which had no `client.options`.
    (_CLIENTS, "_options", property(lambda client: client.options)),
)


class PrivateNames:
    """Puts the names on the classes, and takes them off again."""

    def __init__(self) -> None:
        self._put: list[tuple[type, str, Any]] = []

    def offer(self) -> None:
        """Those that a class has already stay as they are."""
        for classes, name, value in NAMES:
            for cls in classes:
                if name not in vars(cls):
                    setattr(cls, name, value)
                    self._put.append((cls, name, value))

    def withdraw(self) -> None:
        for cls, name, value in self._put:
            if vars(cls).get(name) is value:
                delattr(cls, name)
        self._put.clear()


def is_private_name(name: str) -> bool:
    """Whether it is only for others: ferromongo does not call it."""
    return any(name == offered for _, offered, _ in NAMES)
