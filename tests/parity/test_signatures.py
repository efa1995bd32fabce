"""Every public name and signature of PyMongo's classes, compared with ferromongo's."""

from __future__ import annotations

import inspect
from typing import Any

import pymongo.asynchronous.client_session
import pymongo.asynchronous.collection
import pymongo.asynchronous.command_cursor
import pymongo.asynchronous.cursor
import pymongo.asynchronous.database
import pymongo.asynchronous.mongo_client
import pytest
from pymongo.synchronous import (
    client_session,
    collection,
    command_cursor,
    cursor,
    database,
    mongo_client,
)

import ferromongo.asynchronous.client_session
import ferromongo.asynchronous.collection
import ferromongo.asynchronous.command_cursor
import ferromongo.asynchronous.cursor
import ferromongo.asynchronous.database
import ferromongo.asynchronous.mongo_client
from ferromongo._calls.missing import MISSING

PAIRS: list[tuple[type, type]] = [
    (ferromongo.mongo_client.MongoClient, mongo_client.MongoClient),
    (ferromongo.database.Database, database.Database),
    (ferromongo.collection.Collection, collection.Collection),
    (ferromongo.cursor.Cursor, cursor.Cursor),
    (ferromongo.command_cursor.CommandCursor, command_cursor.CommandCursor),
    (ferromongo.cursor.RawBatchCursor, cursor.RawBatchCursor),
    (ferromongo.command_cursor.RawBatchCommandCursor, command_cursor.RawBatchCommandCursor),
    (ferromongo.client_session.ClientSession, client_session.ClientSession),
    (
        ferromongo.asynchronous.mongo_client.AsyncMongoClient,
        pymongo.asynchronous.mongo_client.AsyncMongoClient,
    ),
    (
        ferromongo.asynchronous.database.AsyncDatabase,
        pymongo.asynchronous.database.AsyncDatabase,
    ),
    (
        ferromongo.asynchronous.collection.AsyncCollection,
        pymongo.asynchronous.collection.AsyncCollection,
    ),
    (ferromongo.asynchronous.cursor.AsyncCursor, pymongo.asynchronous.cursor.AsyncCursor),
    (
        ferromongo.asynchronous.command_cursor.AsyncCommandCursor,
        pymongo.asynchronous.command_cursor.AsyncCommandCursor,
    ),
    (
        ferromongo.asynchronous.cursor.AsyncRawBatchCursor,
        pymongo.asynchronous.cursor.AsyncRawBatchCursor,
    ),
    (
        ferromongo.asynchronous.command_cursor.AsyncRawBatchCommandCursor,
        pymongo.asynchronous.command_cursor.AsyncRawBatchCommandCursor,
    ),
    (
        ferromongo.asynchronous.client_session.AsyncClientSession,
        pymongo.asynchronous.client_session.AsyncClientSession,
    ),
]

# (class without Async, member): why it may differ.
DIFFERS = {
    ("ClientSession", "__init__"): "made by start_session; PyMongo passes its own server session",
    ("CommandCursor", "__init__"): "made by methods; PyMongo passes a decoded first batch",
    ("RawBatchCommandCursor", "__init__"): "as CommandCursor's",
    ("RawBatchCursor", "__init__"): "the arguments of Cursor, by their names",
    ("MongoClient", "start_session"): "snapshot_time, which PyMongo 4.20 does not have yet",
}

# Public names that PyMongo's class does not have: a database or a collection of that name is
# reached by `[...]` only.
ADDED = {
    ("MongoClient", "list_sessions"): "the sessions that the server knows",
    ("Database", "list_sessions"): "the same, as tutorials call it",
}

SPECIAL = (
    "__bool__",
    "__call__",
    "__copy__",
    "__deepcopy__",
    "__eq__",
    "__getattr__",
    "__getitem__",
    "__hash__",
    "__init__",
    "__ne__",
    "__repr__",
)


def _plain_name(kind: type) -> str:
    return kind.__name__.removeprefix("Async")


def _members() -> list[Any]:
    cases = []
    for ours, theirs in PAIRS:
        special = [name for name in SPECIAL if getattr(theirs, name, None) is not None]
        for name in [*(n for n in dir(theirs) if not n.startswith("_")), *special]:
            if inspect.getattr_static(theirs, name) is inspect.getattr_static(object, name, 0):
                continue
            cases.append(pytest.param(ours, theirs, name, id=f"{theirs.__name__}.{name}"))
    return cases


def _missing(kind: type) -> set[str]:
    names: set[str] = set()
    for base, missing in MISSING.items():
        if issubclass(kind, base):
            names.update(missing)
    return names


def _parameters(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in parameters]


def _is_coroutine(member: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(member))


@pytest.mark.parametrize(("ours", "theirs", "name"), _members())
def test_same_member(ours: type, theirs: type, name: str) -> None:
    expected = inspect.getattr_static(theirs, name)
    assert hasattr(ours, name), f"{ours.__name__}.{name} is neither there nor in the missing table"
    found = inspect.getattr_static(ours, name)
    if isinstance(expected, property):
        assert inspect.isdatadescriptor(found)
        # The engine's properties (a cursor's `alive`) are never awaited.
        if isinstance(found, property) and name not in _missing(ours):
            assert _is_coroutine(found.fget) == _is_coroutine(expected.fget)
    elif callable(expected):
        assert callable(found)
        if name in _missing(ours):
            return
        if (_plain_name(ours), name) not in DIFFERS:
            assert _parameters(found) == _parameters(expected)
        assert _is_coroutine(found) == _is_coroutine(expected)
    else:
        assert found == expected


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_no_name_of_our_own(ours: type, theirs: type) -> None:
    """On these classes an extra public name would hide a database or a collection."""
    if _plain_name(ours) not in ("MongoClient", "Database", "Collection"):
        return
    ours_only = {name for name in dir(ours) if not name.startswith("_")} - set(dir(theirs))
    assert ours_only == {name for kind, name in ADDED if kind == _plain_name(ours)}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_missing_members_say_so(ours: type, theirs: type) -> None:
    for name in _missing(ours):
        assert hasattr(theirs, name), f"PyMongo has no {name}: the table is out of date"
        member = inspect.getattr_static(ours, name)
        call = member.fget if isinstance(member, property) else member
        with pytest.raises(NotImplementedError, match=rf"{ours.__name__}\.{name}"):
            call(object.__new__(ours))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_ordinary_class(ours: type, theirs: type) -> None:
    """Subscriptable, subclassable, weakly referenceable and patchable, as users' tests expect."""
    import weakref

    subclass = type("Subclass", (ours,), {})
    instance = object.__new__(subclass) if ours.__basicsize__ == object.__basicsize__ else None
    if instance is None:
        instance = subclass.__new__(subclass)
    assert weakref.ref(instance)() is instance
    instance.__dict__["patched"] = 1
    assert instance.patched == 1
    if hasattr(theirs, "__class_getitem__") and _plain_name(ours) != "ClientSession":
        assert ours[dict] is not None  # type: ignore[index]


def test_differences_are_still_needed() -> None:
    for kind, name in DIFFERS:
        pairs = [(o, t) for o, t in PAIRS if _plain_name(o) == kind]
        assert pairs
        for ours, theirs in pairs:
            assert _parameters(getattr(ours, name)) != _parameters(getattr(theirs, name))


def test_package_exports() -> None:
    """Everything `pymongo` exports is here."""
    assert set(pymongo.__all__) <= set(ferromongo.__all__)
    for name in ferromongo.__all__:
        assert hasattr(ferromongo, name)
