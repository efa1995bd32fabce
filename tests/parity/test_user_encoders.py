"""Which commands may have values of types of the user's in them: those that PyMongo encodes with
the collection's or the database's options. The others refuse them, with both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pymongo
import pytest
from bson.codec_options import TypeRegistry
from pymongo import InsertOne, UpdateOne
from pymongo.operations import SearchIndexModel
from tests.drivers import AsyncDriver, SyncDriver
from tests.drivers import Awaitable as Wrapped
from tests.parity.user_codecs import Money, MoneyCodec, outcome, told

import ferromongo

M = Money()


class Unknown:
    """Only the fallback encoder knows what to make of it."""


def fallback(value: Any) -> Any:
    return "unknown" if isinstance(value, Unknown) else value


REGISTRIES = {
    "codec": (TypeRegistry([MoneyCodec()]), M),
    "fallback": (TypeRegistry(fallback_encoder=fallback), Unknown()),
    "none": (TypeRegistry(), M),
}

Call = Callable[[Any, Any, Any], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "insert_one": lambda db, x, m: x.insert_one({"_id": 1, "m": m}),
    "insert_one comment": lambda db, x, m: x.insert_one({"_id": 2}, comment=m),
    "insert_many": lambda db, x, m: x.insert_many([{"_id": 3, "m": m}]),
    "bulk_write": lambda db, x, m: x.bulk_write(
        [InsertOne({"_id": 4, "m": m}), UpdateOne({"m": m}, {"$set": {"m": m}})], let={"m": m}
    ),
    "update_one": lambda db, x, m: x.update_one({"m": m}, {"$set": {"n": m}}, let={"m": m}),
    "delete_one": lambda db, x, m: x.delete_one({"m": m}),
    "find_one_and_update": lambda db, x, m: x.find_one_and_update({"m": m}, {"$set": {"n": m}}),
    "find_one": lambda db, x, m: x.find_one({"m": m}),
    "find comment": lambda db, x, m: x.find({}, comment=m, batch_size=2).to_list(),
    "distinct": lambda db, x, m: x.distinct("m", {"m": m}),
    "count_documents": lambda db, x, m: x.count_documents({"m": m}),
    "estimated_document_count": lambda db, x, m: x.estimated_document_count(comment=m),
    "aggregate": lambda db, x, m: x.aggregate([{"$match": {"m": m}}], let={"m": m}),
    "aggregate out": lambda db, x, m: x.aggregate([{"$match": {"m": m}}, {"$out": "out"}]),
    "database aggregate": lambda db, x, m: db.aggregate([{"$documents": [{"m": m}]}]),
    "create_index": lambda db, x, m: x.create_index("m", partialFilterExpression={"m": m}),
    "drop_index": lambda db, x, m: x.drop_index("missing", comment=m),
    "list_indexes": lambda db, x, m: x.list_indexes(comment=m),
    "create_search_index": lambda db, x, m: x.create_search_index(SearchIndexModel({"m": m})),
    "list_search_indexes": lambda db, x, m: x.list_search_indexes(comment=m),
    "create_collection": lambda db, x, m: db.create_collection("made", validator={"m": m}),
    "list_collections": lambda db, x, m: db.list_collections(filter={"m": m}),
    "options": lambda db, x, m: x.options(comment=m),
    "rename": lambda db, x, m: db.made.rename("renamed", comment=m),
    "drop": lambda db, x, m: db.missing.drop(comment=m),
    "drop_database": lambda db, x, m: db.client.drop_database("missing", comment=m),
    "validate_collection": lambda db, x, m: db.validate_collection("x", comment=m),
    "command": lambda db, x, m: db.command("find", "x", filter={"m": m}),
    "command with options": lambda db, x, m: db.command(
        "count", "x", query={"m": m}, codec_options=x.codec_options
    ),
    "cursor_command": lambda db, x, m: db.cursor_command("find", "x", filter={"m": m}),
    "cursor_command with options": lambda db, x, m: db.cursor_command(
        "find", "x", filter={"m": m}, codec_options=x.codec_options
    ),
    "list_databases": lambda db, x, m: db.client.list_databases(filter={"m": m}),
    "watch": lambda db, x, m: x.watch([{"$match": {"m": m}}]),
    "dereference": lambda db, x, m: db.dereference(pymongo_reference(m)),
}


def pymongo_reference(value: Any) -> Any:
    from bson import DBRef

    return DBRef("x", value)


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda it: it.name)
@pytest.mark.parametrize("described", REGISTRIES)
def test_commands_accept_custom_types_as_with_pymongo(
    described: str, driver_class: Any, mongodb_uri: str, mongodb_database_name: str
) -> None:
    driver = driver_class()
    registry, value = REGISTRIES[described]
    theirs, ours = (
        driver.run(play(driver, package, mongodb_uri, mongodb_database_name, registry, value))
        for package in (pymongo, ferromongo)
    )
    assert {name for name in CALLS if ours[name] != theirs[name]} == set(), ours


async def play(
    driver: Any, package: Any, uri: str, name: str, registry: Any, value: Any
) -> dict[str, str]:
    kind = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, kind)(uri, type_registry=registry)
    async with Wrapped(client) if driver.name == "sync" else client as client:
        await client.drop_database(name)
        db = client[name]
        await db.x.insert_many([{"_id": n} for n in range(10, 15)])
        return {name: await kind_of(call, db, value) for name, call in CALLS.items()}


async def kind_of(call: Call, db: Any, value: Any) -> str:
    """Whether it could be sent, and the class and code of the error if the server minded."""
    found, *about = await outcome(lambda: call(db, db.x, value))
    return found if found == "returned" else told(about[:2])
