"""Bulk writes against a scripted server that has small limits and speaks `bulkWrite`, which the
real one here is too old for: ferromongo sends what PyMongo sends, and makes the same of the
answers."""

import bson
import pymongo
import pytest
from bson import Int64
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
from pymongo.errors import ClientBulkWriteException
from tests.drivers import AsyncDriver, Awaitable, SyncDriver
from tests.fault.peer import Peer, cut
from tests.fault.peer_answers import replica_set

import ferromongo

PROGRAMS = {}
LIMITS = {"maxWriteBatchSize": 4, "maxMessageSizeBytes": 100_000, "maxBsonObjectSize": 50_000}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


async def outcome(call, *arguments, **options):
    try:
        result = await call(*arguments, **options)
    except Exception as error:
        about = [told(getattr(error, name, None)) for name in ("code", "details", "partial_result")]
        if isinstance(error, ClientBulkWriteException):
            about.append(type(error.__cause__))
        return type(error), *about
    return told(result)


def told(value):
    """Results are compared by what is in them."""
    if isinstance(value, dict):
        return {key: told(item) for key, item in value.items() if key != "operationTime"}
    if isinstance(value, list):
        return [told(item) for item in value]
    if isinstance(value, Exception):
        return type(value), getattr(value, "code", None)
    if hasattr(value, "bulk_api_result"):
        return type(value), value.acknowledged, told(value.bulk_api_result)
    if hasattr(value, "acknowledged"):
        answer = getattr(value, "raw_result", None) or getattr(value, "inserted_id", None)
        return type(value), value.acknowledged, answer
    return value


def inserts(count, namespace=None, size=0):
    return [InsertOne({"_id": n, "x": bytes(size)}, namespace=namespace) for n in range(count)]


@program
async def statements_are_counted(client, peer):
    """Four go into a batch."""
    deletes = [DeleteOne({"_id": n}) for n in range(5)]
    await client.d.c.insert_many([{"_id": n} for n in range(6)])
    return [
        await outcome(client.d.c.bulk_write, [*inserts(9), *deletes]),
        await outcome(client.d.c.bulk_write, [*inserts(5), DeleteMany({})] * 2, ordered=False),
    ]


@program
async def bytes_are_counted(client, peer):
    return [
        await outcome(client.d.c.bulk_write, requests)
        for requests in (
            inserts(5, size=35_000),
            [UpdateOne({"x": bytes(40_000)}, {"$set": {"a": 1}})] * 3,
            inserts(2, size=60_000),  # for the server to refuse
            [InsertOne({"_id": 1}), InsertOne({"x": bytes(100_000)})],
            [ReplaceOne({"x": bytes(99_990)}, {})],
        )
    ]


@program
async def positions_over_several_batches(client, peer):
    upserted = {"ok": 1, "n": 4, "nModified": 1, "upserted": [{"index": 1, "_id": "u"}]}
    failed = {"ok": 1, "n": 2, "writeErrors": [{"index": 1, "code": 9, "errmsg": "no"}]}
    mixed = [
        request
        for n in range(6)
        for request in (InsertOne({"_id": n}), UpdateOne({"_id": n}, {"$set": {"a": 1}}))
    ]
    peer.once("update", upserted, upserted | {"n": 2})
    peer.once("insert", failed, failed)
    return [
        await outcome(client.d.c.bulk_write, mixed, ordered=False),
        await outcome(client.d.c.bulk_write, mixed),
    ]


@program
async def a_write_concern_error_that_halts(client, peer):
    """Without a label there is no retry, and yet nothing more is sent."""
    outcomes = []
    for code in (91, 64):
        peer.once("insert", {"ok": 1, "n": 1, "writeConcernError": {"code": code, "errmsg": "no"}})
        requests = [*inserts(1), DeleteMany({})]
        outcomes.append(await outcome(client.d.c.bulk_write, requests, ordered=False))
    return outcomes


@program
async def a_batch_that_is_cut(client, peer):
    """The second of three is cut and sent again; then it is cut twice."""
    outcomes = []
    for cuts in (1, 2):
        peer.once("insert", lambda request: request.ordinary(), *[cut(0)] * cuts)
        outcomes.append(await outcome(client.d.c.bulk_write, inserts(9)))
    return outcomes


@program
async def unacknowledged_with_a_sort(client, peer):
    """A server that knows it must be there, for its error would not be received."""
    x = client.d.get_collection("x", write_concern=WriteConcern(0))
    change = {"$set": {"a": 1}}
    found = [
        await outcome(x.update_one, {}, change, sort={"b": 1}, comment="c", let={"d": 1}),
        await outcome(x.replace_one, {}, {"a": 1}, sort={"b": 1}, upsert=True),
        await outcome(x.update_one, {}, change, sort={"b": 1}, bypass_document_validation=True),
    ]
    await client.d.x.find_one()  # they have arrived
    return found


PROGRAMS["unacknowledged_with_a_sort_on_an_old_server"] = unacknowledged_with_a_sort


def summary(**counts):
    names = ("nInserted", "nMatched", "nModified", "nUpserted", "nDeleted", "nErrors")
    return {"ok": 1.0, **{name: counts.get(name, 0) for name in names}}


def answered(results, cursor_id=0, **counts):
    """A reply to bulkWrite."""
    results = {"id": Int64(cursor_id), "ns": "admin.$cmd.bulkWrite", "firstBatch": results}
    return {**summary(**counts), "cursor": results}


def everything(**options):
    return [
        InsertOne({"_id": 1}, namespace="d.a"),
        UpdateOne({"_id": 1}, {"$set": {"x": 1}}, upsert=True, namespace="d.b", **options),
        ReplaceOne({"_id": 1}, {"x": 2}, namespace="d.a", hint="_id_"),
        DeleteOne({"_id": 1}, namespace="d.b", hint={"_id": 1}),
    ]


@program
async def client_counts(client, peer):
    peer.once("bulkWrite", answered([], nInserted=1, nUpserted=1, nMatched=1, nDeleted=1))
    return await outcome(client.bulk_write, everything(sort={"a": 1}), comment="c", let={"a": 1})


@program
async def client_verbose_results(client, peer):
    """They come in two batches."""
    first = [{"idx": 0, "ok": 1.0, "n": 1}]
    upserted = {"idx": 1, "ok": 1.0, "n": 1, "nModified": 0, "upserted": {"_id": 5}}
    rest = [
        upserted,
        {"idx": 2, "ok": 1.0, "n": 1, "nModified": 1},
        {"idx": 3, "ok": 1.0, "n": 0},
    ]
    peer.once("bulkWrite", answered(first, 77, nInserted=1, nUpserted=1, nMatched=1, nModified=1))
    cursor = {"id": Int64(0), "ns": "admin.$cmd.bulkWrite", "nextBatch": rest}
    peer.once("getMore", {"ok": 1.0, "cursor": cursor})
    return await outcome(client.bulk_write, everything(), verbose_results=True, comment="c")


@program
async def client_results_that_cannot_be_read(client, peer):
    peer.once("bulkWrite", answered([{"idx": 0, "ok": 1.0, "n": 1}], 78, nInserted=1))
    peer.once("getMore", {"ok": 0.0, "code": 43, "errmsg": "gone"})
    return await outcome(client.bulk_write, everything(), verbose_results=True)


@program
async def client_several_batches(client, peer):
    peer.on("bulkWrite", lambda request: answered([], nInserted=len(request.document["ops"])))
    return [
        await outcome(client.bulk_write, inserts(9, "d.c")),
        await outcome(client.bulk_write, inserts(5, "d.c", 45_000)),
        await outcome(client.bulk_write, inserts(3, "d.c") + inserts(3, "d." + "n" * 200)),
        await outcome(client.bulk_write, [*inserts(1, "d.c"), *inserts(1, "d.c", 120_000)]),
    ]


@program
async def client_errors(client, peer):
    """Of the second batch the last one fails: that ends an ordered write only."""
    failed = {"idx": 3, "ok": 0.0, "code": 11000, "errmsg": "twice", "n": 0}
    outcomes = []
    for ordered in (True, False):
        peer.once(
            "bulkWrite", answered([], nInserted=4), answered([failed], nInserted=3, nErrors=1)
        )
        peer.once("bulkWrite", answered([], nInserted=1))
        outcomes.append(await outcome(client.bulk_write, inserts(9, "d.c"), ordered=ordered))
        peer.sane()
    return outcomes


@program
async def client_command_fails(client, peer):
    refused = {"ok": 0.0, "code": 8, "errmsg": "unknown"}
    peer.once("bulkWrite", answered([], nInserted=4), refused, refused)
    return [
        await outcome(client.bulk_write, inserts(5, "d.c"), verbose_results=True),
        await outcome(client.bulk_write, inserts(1, "d.c"), verbose_results=True),
    ]


@program
async def client_write_concern_fails(client, peer):
    concern = {"code": 64, "errmsg": "timed out", "errInfo": {"wtimeout": True}}
    peer.once("bulkWrite", answered([], nInserted=4) | {"writeConcernError": concern})
    peer.once("bulkWrite", answered([], nInserted=1))
    return await outcome(client.bulk_write, inserts(5, "d.c"), write_concern=WriteConcern(2))


@program
async def client_write_concern_error_that_halts(client, peer):
    """Nothing more is sent after it, if the write is one that may be retried."""
    outcomes = []
    for more in ([], [UpdateMany({}, {"$set": {"a": 1}}, namespace="d.c")]):
        concern = {"code": 91, "errmsg": "shutting down"}
        result = {"idx": 0, "ok": 1.0, "n": 1}
        peer.once("bulkWrite", answered([result], nInserted=4) | {"writeConcernError": concern})
        peer.once("bulkWrite", answered([], nInserted=1))
        call = outcome(client.bulk_write, [*inserts(5, "d.c"), *more], verbose_results=True)
        outcomes.append(await call)
        peer.sane()
    return outcomes


@program
async def client_of_a_server_without_retryable_writes(client, peer):
    text = "Transaction numbers are only allowed on a replica set member or mongos"
    failed = {"idx": 0, "ok": 0.0, "code": 20, "errmsg": text, "n": 0}
    peer.once("bulkWrite", answered([failed], nErrors=1))
    return await outcome(client.bulk_write, inserts(1, "d.c"))


@program
async def client_makes_ids(client, peer):
    documents = [
        {},
        {"x": 1, "_id": 5},
        bson.SON(x=1),
        RawBSONDocument(bson.encode({"_id": 7})),
        RawBSONDocument(bson.encode({"x": 7})),
    ]
    results = [{"idx": n, "ok": 1.0, "n": 1} for n in range(3)]
    peer.once("bulkWrite", answered(results, nInserted=4), answered([], nInserted=1))
    models = [InsertOne(document, namespace="d.c") for document in documents]
    written = await client.bulk_write(models, verbose_results=True)
    ids = {n: result.inserted_id for n, result in written.insert_results.items()}
    assert all(documents[n]["_id"] == made for n, made in ids.items())
    return [list(document.items()) for document in documents[3:]], list(map(type, ids.values()))


@program
async def client_is_cut(client, peer):
    """Sent again once, unless one of the operations may change several documents."""
    outcomes = []
    for more in ([], [UpdateMany({}, {"$set": {"a": 1}}, namespace="d.c")]):
        for cuts in (1, 2):
            peer.once("bulkWrite", *[cut(0)] * cuts)
            peer.on("bulkWrite", answered([], nInserted=1))
            outcomes.append(await outcome(client.bulk_write, [*inserts(1, "d.c"), *more]))
            peer.sane()
    return outcomes


@program
async def client_unacknowledged(client, peer):
    quiet = {"write_concern": WriteConcern(0)}
    large = ReplaceOne({}, {"x": bytes(60_000)}, namespace="d.c")
    told = []
    for models, options in (
        (inserts(5, "d.c"), {"ordered": False, "comment": "c"}),
        (inserts(1, "d.c"), {}),
        (inserts(1, "d.c"), {"ordered": False, "verbose_results": True}),
        (inserts(1, "d.c"), {"ordered": False, "bypass_document_validation": False}),
        (everything(collation={"locale": "en"}), {"ordered": False}),
        (everything(array_filters=[]), {"ordered": False}),
        (inserts(1, "d.c", 60_000), {"ordered": False}),
        ([large], {"ordered": False}),
    ):
        told.append((await outcome(client.bulk_write, models, **quiet, **options))[:2])
        await client.admin.command("ping")
    return told


@program
async def client_in_a_transaction(client, peer):
    peer.on("bulkWrite", answered([], nInserted=1))
    told = []
    async with client.start_session() as session:
        told.append(await outcome(client.bulk_write, inserts(1, "d.c"), session=session))
        begun = session.start_transaction(write_concern=WriteConcern("majority"))
        if not isinstance(begun, Awaitable) and hasattr(begun, "__await__"):
            await begun
        for options in ({}, {"write_concern": WriteConcern(1)}):
            call = outcome(client.bulk_write, inserts(1, "d.c"), session=session, **options)
            told.append((await call)[:2])
        await session.commit_transaction()
    return told


@program
async def client_wrong_models(client, peer):
    return [
        (await outcome(client.bulk_write, models, **options))[0]
        for models, options in (
            ([], {}),
            ((), {}),
            (inserts(1), {}),
            ([{"insert": 1}], {}),
            ([UpdateOne({}, {"a": 1}, namespace="d.c")], {}),
            ([ReplaceOne({}, {"$a": 1}, namespace="d.c")], {}),
            ([InsertOne(5, namespace="d.c")], {}),
            (inserts(1, "d.c"), {"let": 1}),
        )
    ]


@program
async def client_of_an_old_server(client, peer):
    quiet = {"write_concern": WriteConcern(0), "ordered": False}
    return [
        (await outcome(client.bulk_write, inserts(1, "d.c"), **options))[0]
        for options in ({}, {"verbose_results": True}, quiet)
    ]


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_is_sent(name, driver_class):
    outcomes = []
    for package in (pymongo, ferromongo):
        version = 24 if name.endswith("_old_server") else 25
        with Peer(replica_set, maxWireVersion=version, **LIMITS) as peer:
            driver = driver_class()
            result = driver.run(play(PROGRAMS[name], driver, package, peer))
        outcomes.append((repr(result), sent(peer)))
    import os

    if os.environ.get("SHOW"):
        print(name, result)
    assert outcomes[1][0] == outcomes[0][0]
    for ours, theirs in zip(outcomes[1][1], outcomes[0][1], strict=False):
        assert ours == theirs
    assert len(outcomes[1][1]) == len(outcomes[0][1])


async def play(program, driver, package, peer):
    name = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, name)(peer.uri(serverSelectionTimeoutMS=5000))
    async with Awaitable(client) if driver.name == "sync" else client as client:
        return await program(client, peer)


def sent(peer):
    """What came, without ids and times; of long binaries only how long they are."""
    numbers = {}
    commands = []
    for request in peer.of():
        if request.name in ("endSessions", "killCursors"):
            continue
        command = request.document
        command.pop("$clusterTime", None)
        if (number := command.pop("txnNumber", None)) is not None:
            command["txnNumber"] = numbers.setdefault(number, len(numbers))
        command["lsid"] = "lsid" in command
        if "readConcern" in command:
            command["readConcern"] = sorted(command["readConcern"])
        commands.append({key: short(value) for key, value in command.items()})
    return commands


def short(value):
    if isinstance(value, dict):
        return {key: short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [short(item) for item in value]
    if isinstance(value, bytes):
        return len(value)
    return type(value) if isinstance(value, bson.ObjectId) else value
