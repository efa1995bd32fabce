"""Calls of every public method with each argument in turn replaced by what it should not be."""

from __future__ import annotations

import copy
import datetime
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import bson
from pymongo import IndexModel, InsertOne, ReadPreference, WriteConcern
from pymongo.collation import Collation
from pymongo.operations import SearchIndexModel
from pymongo.read_concern import ReadConcern

VALUES: list[Any] = [
    None, True, -1, 0, 1.5, 2**70, "", "x", "$x", "a.b", b"x", [], ["x"], [1], [("a", 1)], [{}],
    {}, {"a": 1}, {"$set": {"a": 1}}, {1: 2}, (), abs, object(), Exception,
    bson.ObjectId("5" * 24), bson.Code("x"), datetime.datetime(2020, 1, 1),
    bson.CodecOptions(), ReadPreference.SECONDARY, WriteConcern(1), ReadConcern("local"),
    Collation("en"), IndexModel("a"), InsertOne({}), "a\0b",
]  # fmt: skip

# What a call needs at least: a valid value for the parameter, or for that of one method.
NEEDED: dict[str, Any] = {
    "collection": "c",
    "command": "ping",
    "code": "true",
    "cursor_command.command": {"find": "c"},
    "bulk_write.models": [InsertOne({}, namespace="n.c")],
    "cluster_time": {},
    "definition": {},
    "dbref": bson.DBRef("c", 1),
    "document": {"a": 1},
    "documents": [{"a": 1}],
    "direction": 1,
    "driver_info": None,
    "filter": {"a": 1},
    "index": "a_1",
    "index_or_name": "a_1",
    "indexes": [IndexModel("a")],
    "key": "a",
    "key_or_list": "a",
    "keys": "a",
    "limit": 1,
    "mask": 2,
    "model": SearchIndexModel({}, "s"),
    "models": [SearchIndexModel({}, "s")],
    "name": "n",
    "name_or_collection": "n",
    "name_or_database": "n",
    "new_name": "m",
    "operation_time": bson.Timestamp(1, 1),
    "pipeline": [],
    "replacement": {"b": 1},
    "requests": [InsertOne({})],
    "session": None,
    "skip": 1,
    "spec": [("a", 1)],
    "to_insert": None,
    "update": {"$set": {"a": 2}},
}


def wrong_calls(method: Callable[..., Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The wrong argument, and all keyword arguments of such a call."""
    parameters = [
        parameter
        for parameter in inspect.signature(method).parameters.values()
        if parameter.name != "self"
    ]
    needed = {
        parameter.name: NEEDED.get(
            f"{method.__name__}.{parameter.name}", NEEDED.get(parameter.name)
        )
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            yield "nonsense", {**needed, "nonsense": 1}
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            for value in VALUES:
                yield parameter.name, copy.deepcopy({**needed, parameter.name: value})
