"""What is done with the codec options of `user_codecs.py`: every command that has a reply."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import bson
from bson import Binary, Int64, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from tests.parity.user_codecs import outcome

WHEN = datetime.datetime(2026, 3, 1, 12)
DOCUMENTS: list[dict[str, Any]] = [
    {
        "_id": n,
        "i": n,
        "l": Int64(n),
        "f": n / 2,
        "s": f"s{n}",
        "b": n > 1,
        "d": WHEN,
        "o": ObjectId("5" * 24),
        "y": b"bytes",
        "m": bson.Decimal128(str(n)),
        "u": Binary.from_uuid(uuid.UUID(int=n)),
        "n": {"i": n, "a": [n, "x", {"i": n}]},
    }
    for n in range(1, 6)
]

Case = Callable[..., Awaitable[Any]]
CASES: dict[str, Case] = {}
SLOW: set[str] = set()


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def slow_case(function: Case) -> Case:
    """One that makes collections or indexes, which takes the server long."""
    SLOW.add(function.__name__)
    return case(function)


async def each(*calls: Any) -> list[Any]:
    return [await outcome(call) for call in calls]


async def all_of(cursor: Callable[[], Any]) -> list[Any]:
    """Read document by document: what comes before an error counts."""
    documents = []
    try:
        async for document in await cursor():
            documents.append(document)
    except Exception as error:
        documents.append((type(error).__name__, str(error)))
    return documents


def result(found: Any) -> Any:
    """A result object by its fields."""
    names = ("inserted_id", "inserted_ids", "matched_count", "modified_count", "deleted_count")
    names += ("upserted_id", "upserted_ids", "inserted_count", "upserted_count")
    names += ("raw_result", "bulk_api_result", "acknowledged")
    return {name: getattr(found, name) for name in names if hasattr(found, name)}


async def results(*calls: Any) -> list[Any]:
    found = await each(*calls)
    return [
        (kind, result(value[0])) if kind == "returned" else (kind, *value) for kind, *value in found
    ]


@case
async def insert(db: Any, x: Any) -> Any:
    return await results(
        lambda: x.insert_one({"_id": 10, "d": WHEN}),
        lambda: x.insert_one({"_id": 1, "d": WHEN}),
        lambda: x.insert_many([{"_id": 11}, {"_id": 12}]),
        lambda: x.insert_many([{"_id": 13}, {"_id": 1}, {"_id": 14}]),
        lambda: x.insert_many([{"_id": 1}, {"_id": 2}, {"_id": 15}], ordered=False),
    )


@case
async def update(db: Any, x: Any) -> Any:
    return await results(
        lambda: x.update_one({"_id": 1}, {"$set": {"a": 1}}),
        lambda: x.update_one({"_id": 20}, {"$set": {"a": 1}}, upsert=True),
        lambda: x.update_one({"_id": WHEN}, {"$set": {"a": 1}}, upsert=True),
        lambda: x.update_many({}, {"$set": {"a": 2}}),
        lambda: x.update_many({}, {"$set": {"_id": 2}}),
        lambda: x.replace_one({"_id": 1}, {"a": 3}),
        lambda: x.replace_one({"_id": 21}, {"a": 3}, upsert=True),
        lambda: x.update_one({"_id": 2}, {"$set": {"a.$[e]": 1}}, array_filters=[{"e": 1}]),
    )


@case
async def delete(db: Any, x: Any) -> Any:
    return await results(
        lambda: x.delete_one({"_id": 1}),
        lambda: x.delete_one({"_id": 1}),
        lambda: x.delete_many({}),
        lambda: x.delete_many({"$foo": 1}),
    )


@case
async def bulk_write(db: Any, x: Any) -> Any:
    everything = [
        InsertOne({"_id": 30}),
        UpdateOne({"_id": 30}, {"$set": {"a": 1}}),
        UpdateOne({"_id": 31}, {"$set": {"a": 1}}, upsert=True),
        UpdateMany({}, {"$set": {"a": 2}}),
        ReplaceOne({"_id": 32}, {"a": 1}, upsert=True),
        DeleteOne({"_id": 30}),
        DeleteMany({"_id": 31}),
    ]
    failing = [InsertOne({"_id": 1}), UpdateOne({"_id": 1}, {"$set": {"_id": 2}}), *everything]
    return await results(
        lambda: x.bulk_write(everything),
        lambda: x.bulk_write(everything, ordered=False),
        lambda: x.bulk_write(failing),
        lambda: x.bulk_write(failing, ordered=False),
    )


@case
async def duplicates_of_dates(db: Any, x: Any) -> Any:
    await x.insert_one({"_id": WHEN})
    return await results(
        lambda: x.insert_one({"_id": WHEN}),
        lambda: x.update_one({"a": 42}, {"$set": {"_id": WHEN}}, upsert=True),
        lambda: x.bulk_write([InsertOne({"_id": WHEN})]),
    )


@case
async def find_one_and(db: Any, x: Any) -> Any:
    return await each(
        lambda: x.find_one_and_update({"_id": 1}, {"$set": {"a": 1}}),
        lambda: x.find_one_and_update({"_id": 77}, {"$set": {"a": 1}}),
        lambda: x.find_one_and_update(
            {"_id": 78}, {"$set": {"a": 1}}, upsert=True, return_document=True
        ),
        lambda: x.find_one_and_replace({"_id": 2}, {"a": 1}),
        lambda: x.find_one_and_delete({"_id": 3}),
        lambda: x.find_one_and_delete({"_id": 4}, projection=["n"]),
    )


@case
async def find_one_and_fail(db: Any, x: Any) -> Any:
    await x.insert_one({"_id": WHEN})
    return await each(
        lambda: x.find_one_and_update({"a": 41}, {"$set": {"_id": WHEN}}, upsert=True),
        lambda: x.find_one_and_update({"_id": 1}, {"$foo": 1}),
    )


@case
async def counts(db: Any, x: Any) -> Any:
    return await each(
        lambda: x.count_documents({}),
        lambda: x.count_documents({"_id": 99}),
        lambda: x.count_documents({"$foo": 1}),
        lambda: x.estimated_document_count(),
        lambda: db.missing.count_documents({}),
        lambda: db.missing.estimated_document_count(),
        lambda: x.estimated_document_count(hint="missing"),
    )


@case
async def distinct(db: Any, x: Any) -> Any:
    fields = ("i", "l", "f", "s", "b", "d", "o", "y", "m", "u", "n", "n.a", "zz")
    return await each(
        *[partial(x.distinct, field) for field in fields], lambda: x.distinct("i", {"$foo": 1})
    )


@case
async def find(db: Any, x: Any) -> Any:
    return [
        await all_of(lambda: as_awaitable(x.find({}, batch_size=2))),
        await outcome(lambda: x.find({}).to_list()),
        await outcome(lambda: x.find_one()),
        await outcome(lambda: x.find_one({"_id": 99})),
        await outcome(lambda: x.find_one({}, projection=["m"])),
    ]


@case
async def find_that_fails(db: Any, x: Any) -> Any:
    return await each(lambda: x.find({"$foo": 1}).to_list(), lambda: x.find_one({"$foo": 1}))


async def as_awaitable(cursor: Any) -> Any:
    return cursor


@case
async def a_cursor_knows(db: Any, x: Any) -> Any:
    cursor = x.find({}, projection=["m"], batch_size=2)
    await anext(cursor)
    known = type(cursor.cursor_id), cursor.cursor_id > 0, type(cursor.address[1]), cursor.retrieved
    await cursor.close()
    return known


@case
async def explain(db: Any, x: Any) -> Any:
    return await x.find({"s": "x"}).explain()


@case
async def aggregate(db: Any, x: Any) -> Any:
    return [
        await all_of(lambda: x.aggregate([{"$match": {}}], batchSize=2)),
        await outcome(lambda: x.aggregate([{"$foo": 1}])),
        await all_of(lambda: db.aggregate([{"$documents": [{"i": 1}, {"s": "x"}]}])),
    ]


@case
async def raw_batches(db: Any, x: Any) -> Any:
    return await all_of(lambda: as_awaitable(x.find_raw_batches({}, batch_size=2)))


@case
async def change_streams(db: Any, x: Any) -> Any:
    async with await x.watch(batch_size=1) as stream:
        await x.insert_one({"_id": 60, "i": 1, "s": "text", "d": WHEN})
        await x.delete_one({"_id": 60})
        events = await each(lambda: stream.next(), lambda: stream.try_next())
        return events, stream.alive, stream.resume_token


@case
async def a_stream_goes_on_by_its_token(db: Any, x: Any) -> Any:
    """Whatever the token is, the server understands it."""
    async with await x.watch() as stream:
        await x.insert_one({"_id": 60})
        await outcome(lambda: stream.next())
        token = stream.resume_token
    async with await x.watch(resume_after=token, max_await_time_ms=10) as stream:
        return await outcome(lambda: stream.try_next())


@case
async def dereference(db: Any, x: Any) -> Any:
    return await outcome(lambda: db.dereference(bson.DBRef("x", 1), projection=["m"]))


@case
async def undecodable_text(db: Any, x: Any) -> Any:
    await x.drop()
    bad = bson.encode({"_id": 1, "s": "text"}).replace(b"text", b"te\xff!")
    await x.insert_one(RawBSONDocument(bad))
    return await each(
        lambda: x.find_one(),
        lambda: x.distinct("s"),
        lambda: x.find_one_and_update({}, {"$set": {"i": 1}}),
        lambda: x.count_documents({}),
        lambda: x.delete_many({}),
    )
