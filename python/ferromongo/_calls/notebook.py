"""What notebooks ask of clients and databases while the user types: names to complete."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

import pymongo

from ferromongo._calls import database as database_calls
from ferromongo._calls.bases import ClientBase, DatabaseBase


def database_names(client: Any) -> list[str]:
    """For `client["`."""

    def names() -> list[str]:
        reply = _reply(client._admin(), {"listDatabases": 1, "nameOnly": True})
        return [found["name"] for found in reply["databases"]]

    return _quickly(client, names)


def collection_names(database: DatabaseBase) -> list[str]:
    """For `db["`."""

    def names() -> list[str]:
        listing = {
            "listCollections": 1,
            "nameOnly": True,
            "authorizedCollections": True,
            "cursor": {"batchSize": MOST},
        }
        reply = _reply(database, listing)
        return sorted(found["name"] for found in reply["cursor"]["firstBatch"])

    return _quickly(database._client, names)


def _reply(database: DatabaseBase, command: dict[str, Any]) -> Any:
    no_options = (None, None, None, None)
    return database_calls.command(database, command, 1, *no_options, True, None, {}).run()


def _quickly(client: ClientBase, names: Callable[[], list[str]]) -> list[str]:
    """Blocks, on both APIs: IPython asks from outside of any coroutine. No names if that fails.

    It runs in an empty context, so that it takes no part in the transaction of a bound session.
    """

    def limited() -> list[str]:
        with pymongo.timeout(TIME_LIMIT):
            return names()

    try:
        return [] if client._core.closed else Context().run(limited)
    except Exception:
        return []


TIME_LIMIT = 1.0
"""Seconds: enough for a new connection over TLS. The event loop of an asynchronous notebook stands
still meanwhile."""
MOST = 1000
