"""How clients, databases, collections, cursors and sessions behave as Python objects, beside
PyMongo's: copies, pickles, equality, truth, iteration, attributes that are not there. No server."""

from __future__ import annotations

import asyncio
import copy
import inspect
import operator
import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

import bson
import pymongo
import pytest

import ferromongo

OPTIONS = {"host": "mongodb://h:1,i:2/base", "connect": False, "serverSelectionTimeoutMS": 0}
Make = Callable[[Any], Any]

# Of a client. What they answer is made anew by each call.
OBJECTS: dict[str, Make] = {
    "client": lambda client: client,
    "database": lambda client: client.db,
    "collection": lambda client: client.db.c,
    "sub-collection": lambda client: client.db.c.sub,
    "collection with options": lambda client: client.db.c.with_options(
        codec_options=bson.CodecOptions(tz_aware=True)
    ),
    "cursor": lambda client: client.db.c.find({"a": 1}, limit=3),
    "raw cursor": lambda client: client.db.c.find_raw_batches({"a": 1}),
    "session": lambda client: client.start_session(),
}

MANNERS: dict[str, Callable[[Any, Make, Any], Any]] = {
    "copy": lambda it, make, client: same(copy.copy(it), it),
    "deepcopy": lambda it, make, client: same(copy.deepcopy(it), it),
    "pickle": lambda it, make, client: pickle.dumps(it),
    "equal to itself": lambda it, make, client: (it == it, it != it),
    "equal to its like": lambda it, make, client: (it == make(client), it != make(client)),
    "equal to others": lambda it, make, client: (it == 3, it != "x", it is None, it in [3]),
    "hash": lambda it, make, client: hash(it) == hash(make(client)),
    "in a set": lambda it, make, client: len({it, make(client)}),
    "order": lambda it, make, client: it < make(client),
    "truth": lambda it, make, client: bool(it),
    "not": lambda it, make, client: not it,
    "length": lambda it, make, client: len(it),
    "iter": lambda it, make, client: same(iter(it), it),
    "aiter": lambda it, make, client: same(aiter(it), it),
    "list": lambda it, make, client: list(it),
    "next": lambda it, make, client: next(it),
    "next method": lambda it, make, client: it.next(),
    "contains": lambda it, make, client: "x" in it,
    "reversed": lambda it, make, client: reversed(it),
    "unpack": lambda it, make, client: [*it],
    "call": lambda it, make, client: it(),
    "call misspelt": lambda it, make, client: it.insret({}),
    "private attribute": lambda it, make, client: it._nothing,
    "private method": lambda it, make, client: it._nothing(),
    "dunder": lambda it, make, client: it.__nothing__,
    "attribute": lambda it, make, client: it.something,
    "has": lambda it, make, client: [hasattr(it, name) for name in ("x", "_x", "__len__", "keys")],
    "item": lambda it, make, client: it["x"],
    "empty item": lambda it, make, client: it[""],
    "dollar item": lambda it, make, client: it["$x"],
    "dotted item": lambda it, make, client: it["x..y"],
    "item of a number": lambda it, make, client: it[3],
    "item of none": lambda it, make, client: it[None],
    "slice": lambda it, make, client: it[1:2],
    "set item": lambda it, make, client: operator.setitem(it, "x", 1),
    "delete item": lambda it, make, client: operator.delitem(it, "x"),
    "set attribute": lambda it, make, client: setattr(it, "mine", 1) or it.mine,
    "set property": lambda it, make, client: setattr(it, "name", 1),
    "set codec options": lambda it, make, client: setattr(it, "codec_options", 1),
    "bytes": lambda it, make, client: bytes(it),
    "int": lambda it, make, client: int(it),
    "str": lambda it, make, client: text(str(it)),
    "repr": lambda it, make, client: text(repr(it)),
    "with": lambda it, make, client: same(it.__enter__(), it),
    "async with": lambda it, make, client: it.__aenter__(),
    "class name": lambda it, make, client: (type(it).__name__, type(it).__qualname__),
    "encoded": lambda it, make, client: bson.encode({"v": it}),
    "public attributes": lambda it, make, client: [
        name for name in vars(it) if not name.startswith("_")
    ],
}


def same(one: Any, other: Any) -> Any:
    """What a copy is to its original."""
    kind = type(one).__name__
    return kind, one is other, type(one) is type(other)


def text(value: str) -> str:
    """Without addresses, and with hosts and options in one order."""
    value = re.sub(r"0x[0-9a-f]+", "0x", value)
    value = re.sub(
        r"host=\[[^]]*\]", lambda match: str(sorted(re.findall(r"'.*?'", match[0]))), value
    )
    return value.replace("ferromongo", "pymongo")


@pytest.mark.parametrize("api", ["MongoClient", "AsyncMongoClient"])
@pytest.mark.parametrize("manner", MANNERS)
def test_same_manner(manner: str, api: str) -> None:
    ours, theirs = (asyncio.run(outcomes(package, api, manner)) for package in PACKAGES)
    different = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
    assert set(different) == MEANT.get((manner, api), set()), different


PACKAGES = (ferromongo, pymongo)

# A client has sockets and threads: its deep copy, or its pickle, can be good for nothing. PyMongo
# says so by TypeError for the synchronous ones only. The asynchronous ones come to different ends:
# an object that does not work, endless recursion, AttributeError.
BELOW = {name for name in OBJECTS if "cursor" not in name}
MEANT = {
    ("deepcopy", "AsyncMongoClient"): BELOW,
    ("pickle", "AsyncMongoClient"): set(OBJECTS),
}


async def outcomes(package: Any, api: str, manner: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a manner that finds an awaitable is not done with it
        client = getattr(package, api)(**OPTIONS)
        told = {name: await outcome(make, client, manner) for name, make in OBJECTS.items()}
        closing = client.close()
        if closing is not None:
            await closing
        return told


async def outcome(make: Make, client: Any, manner: str) -> Any:
    """What comes of it: a plain value, the kind of an object, or the class of an exception."""
    try:
        result = MANNERS[manner](make(client), make, client)
        if inspect.isawaitable(result):
            result = await result
    except Exception as error:
        return type(error), [word for word in WORDS if word in str(error)]
    if type(result).__module__.startswith(("pymongo", "ferromongo")):
        return type(result).__name__, text(repr(result))
    return result


# What a message must tell if PyMongo's does.
WORDS = ("insret", "_nothing", "is not None")
