"""Every public method with each argument in turn replaced by what it should not be: the same class
of exception as PyMongo's, which names the argument where PyMongo's does.

No server is needed where PyMongo refuses by itself. What it would only find out when it encodes the
command, after a server was selected, ferromongo refuses before: PyMongo gets a server then.
"""

from __future__ import annotations

import asyncio
import fnmatch
import gc
import inspect
import warnings
from typing import Any

import pymongo
import pytest
from bson.errors import BSONError
from pymongo.errors import ServerSelectionTimeoutError
from tests.parity.wrong_calls import wrong_calls

import ferromongo

NOBODY = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=0"

OBJECTS = {
    "MongoClient": lambda client, database: client,
    "Database": lambda client, database: client[database],
    "Collection": lambda client, database: client[database].c,
    "Cursor": lambda client, database: client[database].c.find(),
    "ClientSession": lambda client, database: client.start_session(),
}
CLASSES = {
    "MongoClient": pymongo.MongoClient,
    "Database": pymongo.database.Database,
    "Collection": pymongo.collection.Collection,
    "Cursor": pymongo.cursor.Cursor,
    "ClientSession": pymongo.client_session.ClientSession,
}
# Take no arguments that could be wrong.
LEFT_OUT = {"aclose", "close", "end_session", "with_transaction"}

# Class.method.argument, where it is meant to differ.
MEANT = {
    "ClientSession.start_transaction.max_commit_time_ms": "an int beyond 64 bits: refused at once",
    "Collection.drop.encrypted_fields": "encryption in the client is not there yet",
    "*.watch.collation": "PyMongo does not look at it, and does not send it",
    "*.watch.max_await_time_ms": "an int beyond 64 bits: refused at once",
    "*.watch.pipeline": "what is no document is for the server to refuse",
    "Collection.rename.new_name": "a null character is refused before the server does it",
    "Cursor.to_list.length": "what is no int is refused before the first batch is fetched",
    "Database.*command.codec_options": "PyMongo takes what counts as false for none",
    "Database.cursor_command.comment": "encoded at once, not when there is a second batch",
    "Database.cursor_command.max_await_time_ms": "the same",
    "Database.dereference.session": "PyMongo takes what counts as false for none",
    "Database.drop_collection.encrypted_fields": "encryption in the client is not there yet",
}

# What PyMongo says when it did not look and stumbled later: ours must refuse, in whatever words.
STUMBLED = (AttributeError, SystemError, StopIteration, RuntimeError)


# PyMongo's cursors stumble once more over what is no session when they are dropped.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function _AgnosticCursorBase"
    ":pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("api", ["", "Async"])
@pytest.mark.parametrize("kind", OBJECTS)
def test_refused_alike(kind: str, api: str, mongodb_uri: str, mongodb_database_name: str) -> None:
    async def compare() -> dict[str, list[Any]]:
        clients = [
            getattr(package, f"{api}MongoClient")(uri)
            for package, uri in ((ferromongo, NOBODY), (pymongo, NOBODY), (pymongo, mongodb_uri))
        ]
        try:
            return await differences(kind, clients, mongodb_database_name)
        finally:
            for client in clients:
                if inspect.isawaitable(closing := client.close()):
                    await closing

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = asyncio.run(compare())
        gc.collect()
    unmeant = {key: cases for key, cases in found.items() if not meant(key)}
    assert not unmeant
    patterns = [pattern for pattern in MEANT if pattern.startswith(f"{kind}.")]
    assert all(fnmatch.filter(found, pattern) for pattern in patterns)


def meant(key: str) -> bool:
    return any(fnmatch.fnmatch(key, pattern) for pattern in MEANT)


async def differences(kind: str, clients: list[Any], database: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    make, owner = OBJECTS[kind], CLASSES[kind]
    for name, method in inspect.getmembers(owner, inspect.isfunction):
        if name.startswith("_") or name in LEFT_OUT:
            continue
        for argument, arguments in wrong_calls(method):
            ours, theirs = [
                await outcome(make(client, database), name, arguments) for client in clients[:2]
            ]
            if isinstance(theirs, ServerSelectionTimeoutError) and type(ours) is not type(theirs):
                theirs = await outcome(make(clients[2], database), name, arguments)
            if not alike(ours, theirs, argument):
                case = arguments.get(argument), ours, theirs
                found.setdefault(f"{kind}.{name}.{argument}", []).append(case)
    return found


async def outcome(target: Any, name: str, arguments: dict[str, Any]) -> Any:
    """The exception, or None."""
    try:
        result = getattr(target, name)(**arguments)
        if inspect.isawaitable(result):
            result = await result
        if name.startswith("find") and hasattr(result, "to_list"):
            if inspect.isawaitable(result := result.to_list()):
                await result
    except Exception as error:
        return error
    return None


def alike(ours: Any, theirs: Any, argument: str) -> bool:
    if isinstance(theirs, STUMBLED) and not isinstance(ours, STUMBLED):
        return isinstance(ours, (TypeError, ValueError, BSONError))
    if type(ours) is not type(theirs):
        return False
    return argument not in str(theirs) or argument in str(ours)
