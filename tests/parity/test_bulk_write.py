"""The same bulk writes on ferromongo and on PyMongo: results, errors and their details, what is
stored then, what became of the request's documents, and the commands that were sent."""

from collections.abc import Mapping

import bson
import pymongo
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
    WriteConcern,
)
from pymongo.collation import Collation
from tests.drivers import AsyncDriver, Awaitable, SyncDriver
from tests.listeners import Commands
from tests.parity.heard import commands

import ferromongo

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def case(name, requests, **options):
    """A program of one bulk write, ordered and unordered. `requests` makes them anew each time."""

    async def write(collection):
        return [
            await outcome(collection, requests(), ordered=ordered, **options)
            for ordered in (True, False)
        ]

    PROGRAMS[name] = write


async def outcome(collection, requests, **options):
    try:
        result = await collection.bulk_write(requests, **options)
    except Exception as error:
        details = getattr(error, "details", None)
        return type(error), getattr(error, "code", None), details
    ids = result.upserted_ids if result.acknowledged else None
    documents = [request._doc for request in requests if isinstance(request, InsertOne)]
    return result.acknowledged, result.bulk_api_result, ids, documents


case("nothing", lambda: [])
case("no_list", lambda: (InsertOne({}),))
case("no_request", lambda: [InsertOne({}), {"_id": 1}])
case("an_insert_of_no_document", lambda: [InsertOne([])])
case("an_update_without_operators", lambda: [UpdateOne({}, {"a": 1})])
case("a_replacement_with_operators", lambda: [ReplaceOne({}, {"$set": {"a": 1}})])
case("let_is_no_document", lambda: [InsertOne({})], let=[1])
case("what_cannot_be_encoded", lambda: [InsertOne({"_id": 1}), InsertOne({"_id": object()})])
case("ids_are_added", lambda: [InsertOne({}), InsertOne({"_id": 1}), InsertOne({"a": 1})])
case("raw_documents", lambda: [InsertOne(RawBSONDocument(bson.encode({"_id": 7})))])
case("a_comment", lambda: [InsertOne({}), DeleteOne({})], comment={"why": "test"})
case("an_empty_comment", lambda: [InsertOne({}), DeleteOne({})], comment="")
case(
    "all_kinds",
    lambda: [
        InsertOne({"_id": 10, "a": 1}),
        InsertOne({"_id": 11, "a": 1}),
        UpdateOne({"a": 1}, {"$inc": {"b": 1}}),
        UpdateMany({"a": 1}, [{"$set": {"c": "$a"}}]),
        UpdateOne({"_id": 12}, {"$set": {"a": 2}}, upsert=True),
        DeleteOne({"_id": 11}),
        ReplaceOne({"_id": 13}, {"a": 3}, upsert=True),
        ReplaceOne({"a": "new"}, {"a": "new"}, upsert=True),
        InsertOne({"_id": 14}),
        DeleteMany({"a": {"$gte": 100}}),
        UpdateMany({"a": 77}, {"$set": {"b": 1}}, upsert=True),
    ],
)
case(
    "options_of_statements",
    lambda: [
        UpdateOne({"s": "TEA"}, {"$set": {"d": 1}}, collation=Collation("en", strength=2)),
        UpdateMany({}, {"$set": {"list.$[big]": 0}}, array_filters=[{"big": {"$gt": 5}}]),
        UpdateOne({"_id": 2}, {"$set": {"e": 1}}, hint="_id_"),
        ReplaceOne({"_id": 3}, {"f": 1}, hint=[("_id", 1)]),
        DeleteOne({"_id": 4}, hint={"_id": 1}),
        DeleteMany({"s": "COFFEE"}, collation={"locale": "en", "strength": 1}),
    ],
)
case("sort_on_an_old_server", lambda: [UpdateOne({}, {"$set": {"a": 1}}, sort={"_id": -1})])
case(
    "let",
    lambda: [
        InsertOne({"_id": 20}),
        UpdateOne({"$expr": {"$eq": ["$_id", "$$id"]}}, [{"$set": {"b": "$$id"}}]),
        DeleteOne({"$expr": {"$eq": ["$_id", "$$id"]}}),
    ],
    let={"id": 2},
)
case(
    "several_errors",
    lambda: [
        InsertOne({"_id": 1}),
        UpdateOne({"_id": 1}, {"$bad": 1}),
        InsertOne({"_id": 30}),
        DeleteOne({"_id": {"$no": 1}}),
        UpdateOne({"_id": 31}, {"$set": {"a": 1}}, upsert=True),
        InsertOne({"_id": 2}),
        InsertOne({"_id": 32}),
    ],
)
case(
    "upserts_before_an_error",
    lambda: [
        UpdateOne({"_id": 40}, {"$set": {"a": 1}}, upsert=True),
        UpdateOne({"_id": 1}, {"$set": {"a": 2}}),
        UpdateOne({"_id": 1}, {"$set": {"_id": 2}}),
        UpdateOne({"_id": 41}, {"$set": {"a": 1}}, upsert=True),
    ],
)
case("a_hint_that_does_not_exist", lambda: [DeleteOne({"a": 1}, hint="nope"), InsertOne({})])
case(
    "bypassing_validation",
    lambda: [InsertOne({"_id": 50}), UpdateOne({"_id": 1}, {"$unset": {"a": 1}})],
    bypass_document_validation=True,
)
case("bypassing_in_a_delete", lambda: [DeleteOne({})], bypass_document_validation=False)


@program
async def too_large_documents(collection):
    large = InsertOne({"_id": 61, "x": bytes(16 * 1024 * 1024 + 100)})
    return [
        (await outcome(collection, [InsertOne({}), large, InsertOne({})], ordered=ordered))[:2]
        for ordered in (True, False)
    ]


@program
async def write_concerns(collection):
    impossible = collection.with_options(write_concern=WriteConcern(w=40, wtimeout=50))
    journaled = collection.with_options(write_concern=WriteConcern(w=1, j=True))
    requests = [InsertOne({"_id": 80}), InsertOne({"_id": 80}), DeleteOne({"_id": 80})]
    return [
        await outcome(target, requests, ordered=ordered)
        for target in (impossible, journaled)
        for ordered in (True, False)
    ]


@program
async def unacknowledged(collection):
    quiet = collection.with_options(write_concern=WriteConcern(w=0))
    many = [InsertOne({"_id": 90}), InsertOne({"_id": 91}), DeleteOne({"_id": 91})]
    told = []
    for requests, options in (
        (many, {}),
        (many[:1], {"comment": "again"}),
        ([InsertOne({"_id": 92}), InsertOne({"_id": 90}), InsertOne({"_id": 93})], {}),
        ([UpdateOne({"_id": 90}, {"$set": {"a": 1}})], {"ordered": False, "comment": "lost"}),
        ([UpdateOne({}, {"$set": {"a": 1}}, sort={"_id": 1})], {}),
        ([DeleteOne({}, collation={"locale": "en"})], {"ordered": False}),
        ([UpdateOne({}, {"$set": {"a.$[]": 1}}, array_filters=[])], {}),
        ([InsertOne({})], {"bypass_document_validation": True}),
        ([InsertOne({"x": bytes(17_000_000)})], {}),
        ([InsertOne({"_id": 94})] * 2, {"bypass_document_validation": False}),
    ):
        written = await outcome(quiet, requests, **options)
        told.append(written[:2])
        await collection.database.command("ping")  # on the same connection, hence later
    return told


@program
async def unacknowledged_insert_many(collection):
    quiet = collection.with_options(write_concern=WriteConcern(w=0))
    for ordered in (True, False):
        await quiet.insert_many([{"_id": 95}, {"_id": 96}, {"_id": 95}], ordered=ordered)
        await collection.database.command("ping")
    return await collection.count_documents({"_id": {"$gte": 95}})


@program
async def in_a_session(collection):
    requests = [InsertOne({"_id": 100}), UpdateOne({"_id": 100}, {"$set": {"a": 1}})]
    async with collection.database.client.start_session() as session:
        told = [await outcome(collection, requests, session=session)]
        quiet = collection.with_options(write_concern=WriteConcern(w=0))
        told.append((await outcome(quiet, requests, session=session))[0])
    told.append((await outcome(collection, requests, session=session))[0])
    return told


@program
async def in_a_transaction(collection):
    requests = [InsertOne({"_id": 110}), UpdateMany({}, {"$set": {"t": 1}}), DeleteOne({"_id": 1})]
    told = []
    async with collection.database.client.start_session() as session:
        for target in (collection, collection.with_options(write_concern=WriteConcern(w=0))):
            await begin(session)
            told.append(await outcome(target, requests, session=session))
            await session.abort_transaction()
        await begin(session)
        told.append(await outcome(collection, requests * 2, session=session))
        await session.abort_transaction()
    return told


async def begin(session):
    begun = session.start_transaction()
    if not isinstance(begun, Awaitable) and hasattr(begun, "__await__"):
        await begun


def failing(name, requests, **failure):
    """Once or twice a command of the bulk write fails in a way that may be retried."""
    for times in (1, 2):

        async def write(collection, times=times):
            data = {"failCommands": ["update"], **failure}
            admin = collection.database.client.admin
            await admin.command(
                "configureFailPoint", "failCommand", mode={"times": times}, data=data
            )
            try:
                return await outcome(collection, requests())
            finally:
                await admin.command("configureFailPoint", "failCommand", mode="off")

        PROGRAMS[f"{name}_{times}"] = write


def retryable():
    insert, delete = InsertOne({"_id": 120}), DeleteOne({"_id": 120})
    return [insert, UpdateOne({"_id": 120}, {"$inc": {"a": 1}}), delete]


def not_retryable():
    return [*retryable(), DeleteMany({"_id": 120})]


for kind in (retryable, not_retryable):
    failing(f"{kind.__name__}_code", kind, errorCode=6, errorLabels=["RetryableWriteError"])
    failing(f"{kind.__name__}_refused", kind, errorCode=13)
    concern = {"code": 91, "errmsg": "shutting down", "errorLabels": ["RetryableWriteError"]}
    failing(f"{kind.__name__}_concern", kind, writeConcernError=concern)
    failing(f"{kind.__name__}_other_concern", kind, writeConcernError={"code": 64, "errmsg": "no"})


@program
async def with_a_time_limit(collection):
    with pymongo.timeout(20):
        return await outcome(collection, [InsertOne({}), DeleteOne({})])


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_comes_of_it(name, driver_class, mongodb_uri):
    told, heard, stored = [], [], []
    for package in (pymongo, ferromongo):
        with pymongo.MongoClient(mongodb_uri) as client:
            database = client.bulk_parity
            client.drop_database(database)
            database.create_collection("c", validator={"validated": {"$ne": 1}})
            database.c.insert_many(fill())
            events, driver = Events(), driver_class()
            told.append(driver.run(play(PROGRAMS[name], driver, package, mongodb_uri, events)))
            heard.append([comparable(about) for about in commands(events)])
            stored.append(list(map(repr, map(stable, database.c.find().sort("_id", 1)))))
            client.drop_database(database)
    assert stable(told[1]) == stable(told[0])
    for ours, theirs in zip(heard[1], heard[0], strict=False):
        assert ours == theirs
    assert len(heard[1]) == len(heard[0])
    assert stored[1] == stored[0]


def fill():
    drinks = ("tea", "coffee", "milk")
    return [{"_id": n, "a": n, "s": drinks[n % 3], "list": [n, n + 3]} for n in range(1, 6)]


async def play(write, driver, package, uri, events):
    name = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, name)(uri, event_listeners=[Commands(events.append)])
    async with Awaitable(client) if driver.name == "sync" else client as client:
        return await write(client.bulk_parity.c)


class Events(list):
    def commands(self):
        # PyMongo takes a session before it looks at the documents; without one none is ended.
        return [event for event in self if event.command_name not in OTHERS]


OTHERS = ("endSessions", "ping", "configureFailPoint")


def comparable(about):
    """PyMongo corrects the positions of upserts in the event's own reply."""
    about.pop("connection")  # numbered over all clients
    reply = about.get("reply", {})
    for upserted in reply.get("upserted", ()):
        upserted.pop("index")
    about.get("command", {}).pop("maxTimeMS", None)
    return stable(about)


def stable(value):
    """New ids and times differ from run to run."""
    if isinstance(value, Mapping):  # raw documents, too
        if "clusterTime" in value:
            return "a time"
        return {name: stable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [stable(item) for item in value]
    return type(value) if isinstance(value, (bson.ObjectId, bson.Timestamp)) else value
