"""The same for what the real server does not answer at will: write concern errors, text that is not
UTF-8, and `MongoClient.bulk_write`, for which it is too old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pymongo
import pytest
from bson import Int64
from pymongo import DeleteOne, InsertOne, UpdateOne
from tests.drivers import AsyncDriver, SyncDriver
from tests.drivers import Awaitable as Wrapped
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set
from tests.parity.user_codec_cases import results
from tests.parity.user_codecs import OPTIONS, outcome, told

import ferromongo

Program = Callable[[Any, Any], Awaitable[Any]]
PROGRAMS: dict[str, Program] = {}
CONCERN = {"code": 64, "errmsg": "timed out", "errInfo": {"wtimeout": True, "by": [1]}}
UNCONFIRMED = {"ok": 1.0, "n": 1, "writeConcernError": CONCERN, "errorLabels": ["Mine", "Yours"]}


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


@program
async def writes_that_are_not_confirmed(client: Any, peer: Any) -> Any:
    peer.on("insert", UNCONFIRMED)
    peer.on("update", UNCONFIRMED | {"nModified": 1})
    peer.on("delete", UNCONFIRMED)
    x = client.d.x
    return await results(
        lambda: x.insert_one({}),
        lambda: x.insert_many([{}]),
        lambda: x.update_one({}, {"$set": {"a": 1}}),
        lambda: x.delete_one({}),
        lambda: x.bulk_write([InsertOne({}), DeleteOne({})]),
    )


@program
async def administration_that_is_not_confirmed(client: Any, peer: Any) -> Any:
    for name in ("createIndexes", "dropIndexes", "create", "drop", "dropDatabase"):
        peer.on(name, UNCONFIRMED)
    return [
        await outcome(call)
        for call in (
            lambda: client.d.x.create_index("a"),
            lambda: client.d.x.drop_index("a"),
            lambda: client.d.x.drop(),
            lambda: client.drop_database("d"),
        )
    ]


@program
async def find_and_modify_that_is_not_confirmed(client: Any, peer: Any) -> Any:
    unlabelled = {key: value for key, value in UNCONFIRMED.items() if key != "errorLabels"}
    peer.on("findAndModify", unlabelled | {"value": {"b": True}})
    return await outcome(lambda: client.d.x.find_one_and_delete({}))


@program
async def several_documents_in_one_reply(client: Any, peer: Any) -> Any:
    """A field of the server's that is called like the user's stays the server's."""
    more = {"lastErrorObject": {"value": 1, "n": 1}, "values": [1], "stats": {"values": [1]}}
    peer.on("findAndModify", {"ok": 1.0, "value": {"i": 1, "value": 2}, **more})
    peer.on("distinct", {"ok": 1.0, **more, "value": 5})
    x = client.d.x
    return [
        await outcome(lambda: x.find_one_and_delete({})),
        await outcome(lambda: x.distinct("a")),
    ]


def results_of_bulk(cursor_id: int, batch: str, documents: list[Any]) -> dict[str, Any]:
    cursor = {"id": Int64(cursor_id), "ns": "admin.$cmd.bulkWrite", batch: documents}
    names = ("nInserted", "nMatched", "nModified", "nUpserted", "nDeleted")
    return {"ok": 1.0, **dict.fromkeys(names, 1), "nErrors": 1, "cursor": cursor}


@program
async def bulk_write_of_the_client(client: Any, peer: Any) -> Any:
    inserted = {"idx": 0, "ok": 1.0, "n": 1}
    upserted = {"idx": 1, "ok": 1.0, "n": 1, "nModified": 0, "upserted": {"_id": 5}}
    failed = {"idx": 2, "ok": 0.0, "code": 9, "errmsg": "no", "errInfo": {"i": 1}}
    models = [
        InsertOne({"_id": 1, "i": 1}, namespace="d.x"),
        UpdateOne({"i": 1}, {"$set": {"i": 2}}, upsert=True, namespace="d.x"),
        DeleteOne({"i": 1}, namespace="d.x"),
    ]
    found = []
    for documents in ([inserted, upserted], [inserted, upserted, failed]):
        peer.once("bulkWrite", results_of_bulk(0, "firstBatch", documents))
        found.append(await bulk(client, models))
    return found


async def bulk(client: Any, models: list[Any]) -> Any:
    names = ("inserted_count", "matched_count", "deleted_count", "insert_results")
    names += ("update_results", "delete_results", "write_errors", "write_concern_errors", "error")
    try:
        result = await client.bulk_write(models, verbose_results=True)
    except pymongo.errors.ClientBulkWriteException as error:
        return [getattr(error, name, None) for name in names]
    return [getattr(result, name) for name in names[:3]] + [
        {
            at: one.bulk_api_result if hasattr(one, "bulk_api_result") else fields(one)
            for at, one in getattr(result, name).items()
        }
        for name in names[3:6]
    ]


def fields(result: Any) -> Any:
    return getattr(result, "raw_result", None) or result.inserted_id


# PyMongo fails: a raw document takes no labels or positions, not each mapping can be copied, and
# its decoders get the server's fields beside the user's. Here these options change nothing.
RAW = ("raw", "decodes int, raw")
FAILS_THERE = {
    "administration_that_is_not_confirmed": RAW,
    "bulk_write_of_the_client": (*RAW, "mutable mapping"),
    "find_and_modify_that_is_not_confirmed": ("refuses int", "refuses str", "refuses float"),
    "several_documents_in_one_reply": ("refuses float",),
}


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda it: it.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_scripted_replies_with_type_decoders_are_as_with_pymongo(
    name: str, driver_class: Any
) -> None:
    driver = driver_class()
    expected = {}
    differing = []
    for described, options in OPTIONS.items():
        theirs, ours = (
            told(driver.run(play(driver, package, PROGRAMS[name], options)), loose=True)
            for package in (pymongo, ferromongo)
        )
        fails = described in FAILS_THERE.get(name, ())
        expected[described] = expected["default"] if fails else theirs
        if ours != expected[described] or (fails and theirs == ours):
            differing.append(f"{described}\n  {theirs}\n  {ours}")
    assert not differing, "\n".join(differing)


async def play(driver: Any, package: Any, program: Program, options: dict[str, Any]) -> Any:
    kind = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    with Peer(replica_set, maxWireVersion=25) as peer:
        client = getattr(package, kind)(peer.uri(), **options)
        async with Wrapped(client) if driver.name == "sync" else client as client:
            try:
                return await program(client, peer)
            except Exception as error:
                return "raised", type(error), str(error)
