"""Cursors of all kinds on ferromongo and on PyMongo: the same results, errors and commands.

A program gets a database of one collection, `x`, of twenty documents. It runs on both APIs of both
packages; what it returns (or raises) and the commands that were sent meanwhile must be equal.
"""

import copy

import bson
import pymongo
import pytest
from bson import SON, CodecOptions, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import CursorType, ReadPreference
from pymongo.read_concern import ReadConcern
from tests.drivers import AsyncDriver, Awaitable, SyncDriver
from tests.listeners import Commands

import ferromongo

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


async def numbers(cursor):
    return [document["_id"] async for document in cursor]


async def batches(cursor):
    return [[document["_id"] for document in bson.decode_all(batch)] async for batch in cursor]


@program
async def raw_batches_of_a_find(db):
    cursor = db.x.find_raw_batches({"_id": {"$lt": 11}}, batch_size=4).sort("_id", 1)
    return await batches(cursor), cursor.retrieved, cursor.alive


@program
async def raw_batches_are_the_servers_bytes(db):
    (batch,) = await db.x.find_raw_batches(projection={"s": 0}, sort=[("_id", 1)]).to_list()
    return type(batch).__name__, batch


@program
async def raw_batches_with_a_limit(db):
    cursor = db.x.find_raw_batches(limit=5, batch_size=2, comment="c").hint("_id_")
    return await batches(cursor), cursor.retrieved


@program
async def raw_batches_of_nothing(db):
    return await db.x.find_raw_batches(
        {"_id": -1}
    ).to_list(), await db.none.find_raw_batches().to_list()


@program
async def raw_batches_one_by_one(db):
    cursor = db.x.find_raw_batches(batch_size=6)
    first = await cursor.to_list(1)
    second = await cursor.next()
    again = copy.copy(cursor) if not isinstance(cursor, Awaitable) else cursor.clone()
    await cursor.rewind()
    same = await cursor.next() == first[0]
    await cursor.close()
    return len(bson.decode_all(second)), same, (await batches(again))[0], cursor.alive


@program
async def raw_batches_cannot_be_indexed(db):
    return db.x.find_raw_batches()[0]


@program
async def a_raw_batch_cursor_explains(db):
    plan = await db.x.find_raw_batches({"_id": 1}).explain()
    return plan["queryPlanner"]["parsedQuery"]


@program
async def a_bad_query_for_raw_batches(db):
    return await db.x.find_raw_batches({"$no": 1}).to_list()


@program
async def raw_batches_of_an_aggregate(db):
    cursor = await db.x.aggregate_raw_batches([{"$sort": {"_id": 1}}], batchSize=8, comment="c")
    return await batches(cursor), cursor.alive


@program
async def raw_batches_of_an_aggregate_in_one(db):
    cursor = await db.x.aggregate_raw_batches([{"$match": {"_id": {"$lt": 3}}}])
    return [bson.decode_all(batch) for batch in await cursor.to_list()]


@program
async def raw_batches_of_an_aggregate_that_writes(db):
    cursor = await db.x.aggregate_raw_batches([{"$match": {"_id": 3}}, {"$out": "y"}])
    return await cursor.to_list(), await db.y.find().to_list()


@program
async def raw_batches_of_an_aggregate_cannot_be_indexed(db):
    cursor = await db.x.aggregate_raw_batches([])
    try:
        cursor[0]
    finally:
        await cursor.close()


@program
async def an_aggregate_in_batches_of_one(db):
    return await numbers(await db.x.aggregate([{"$limit": 4}], batchSize=1))


@program
async def a_wrong_await_time(db):
    return await db.x.aggregate([], maxAwaitTimeMS="soon", batchSize=1)


@program
async def exhaust(db):
    cursor = db.x.find(cursor_type=CursorType.EXHAUST, batch_size=6, sort=[("_id", 1)])
    return await numbers(cursor), cursor.retrieved, cursor.alive, cursor.cursor_id


@program
async def exhaust_in_one_batch(db):
    return await numbers(db.x.find(cursor_type=CursorType.EXHAUST))


@program
async def exhaust_of_raw_batches(db):
    return await batches(db.x.find_raw_batches(cursor_type=CursorType.EXHAUST, batch_size=7))


@program
async def exhaust_closed_after_the_first_batch(db):
    cursor = db.x.find(cursor_type=CursorType.EXHAUST, batch_size=6)
    await cursor.next()
    await cursor.close()
    await db.command("ping")
    return cursor.alive


@program
async def exhaust_closed_while_the_server_streams(db):
    cursor = db.x.find(cursor_type=CursorType.EXHAUST, batch_size=3)
    found = await cursor.to_list(4)
    await cursor.close()
    await db.command("ping")
    return len(found)


@program
async def exhaust_rewound(db):
    cursor = db.x.find(cursor_type=CursorType.EXHAUST, batch_size=3)
    await cursor.to_list(4)
    await cursor.rewind()
    return await numbers(cursor)


@program
async def exhaust_with_a_limit(db):
    return db.x.find(cursor_type=CursorType.EXHAUST, limit=1)


@program
async def a_limit_for_exhaust(db):
    return db.x.find(cursor_type=CursorType.EXHAUST).limit(1)


@program
async def exhaust_of_one(db):
    return await db.x.find_one({}, cursor_type=CursorType.EXHAUST)


@program
async def options_by_number(db):
    cursor = db.x.find(batch_size=9)
    added = cursor.add_option(64)
    if not isinstance(added, Awaitable):
        await added
    first = await numbers(cursor)
    await cursor.rewind()
    cursor.remove_option(64)
    cursor.limit(3)
    return first, await numbers(cursor)


@program
async def exhaust_by_number_with_a_limit(db):
    added = db.x.find(limit=1).add_option(64)
    return added if isinstance(added, Awaitable) else await added


@program
async def cursor_command(db):
    cursor = await db.cursor_command("find", "x", batchSize=8, sort={"_id": 1}, comment="command")
    return await numbers(cursor), cursor.alive


@program
async def cursor_command_with_everything(db):
    cursor = await db.cursor_command(
        SON([("find", "x"), ("batchSize", 8), ("sort", {"_id": 1})]),
        read_preference=ReadPreference.NEAREST,
        codec_options=CodecOptions(SON),
        comment="more",
        limit=12,
    )
    first = await cursor.next()
    return type(first).__name__, len(await cursor.to_list()), cursor.session


@program
async def cursor_command_without_a_cursor(db):
    return await db.cursor_command("ping")


@program
async def cursor_command_that_fails(db):
    return await db.cursor_command("find", "x", filter={"$no": 1})


@program
async def cursor_command_with_a_wrong_await_time(db):
    return await db.cursor_command("find", "x", max_await_time_ms="1")


@program
async def cursor_command_of_a_database_with_a_read_concern(db):
    other = db.with_options(read_concern=ReadConcern("majority"))
    return await numbers(await other.cursor_command("find", "x"))


@program
async def try_next(db):
    cursor = await db.cursor_command("find", "x", batchSize=2, limit=3)
    found = [await cursor.try_next() for _ in range(5)]
    return found, cursor.alive


@program
async def cursor_command_that_is_tailable(db):
    await db.create_collection("capped", capped=True, size=4096)
    await db.capped.insert_many([{"_id": 1}, {"_id": 2}])
    command = {"find": "capped", "tailable": True, "awaitData": True}
    cursor = await db.cursor_command(command, max_await_time_ms=20)
    first = await cursor.to_list()
    nothing = await cursor.try_next(), await cursor.to_list()
    await db.capped.insert_one({"_id": 3})
    third = await cursor.next()
    alive = cursor.alive
    await cursor.close()
    return first, nothing, third, alive, cursor.alive


@program
async def tailing(db):
    await db.create_collection("capped", capped=True, size=4096)
    await db.capped.insert_one({"_id": 1})
    cursor = db.capped.find(cursor_type=CursorType.TAILABLE_AWAIT).max_await_time_ms(20)
    first = await numbers(cursor), cursor.alive
    await db.capped.insert_one({"_id": 2})
    second = await numbers(cursor), cursor.alive
    await cursor.close()
    return first, second, cursor.alive


@program
async def tailing_a_collection_that_is_dropped(db):
    await db.create_collection("capped", capped=True, size=4096)
    await db.capped.insert_one({"_id": 1})
    cursor = db.capped.find(cursor_type=CursorType.TAILABLE)
    first = await numbers(cursor), cursor.alive
    await db.capped.drop()
    return first, await numbers(cursor), cursor.alive


@program
async def list_databases(db):
    cursor = await db.client.list_databases(filter={"name": db.name}, nameOnly=True, comment="c")
    return await cursor.to_list(), cursor.alive, cursor.cursor_id, cursor.session


@program
async def lists_in_a_session(db):
    """The session is causally consistent, but these commands know no read concern."""
    async with db.client.start_session() as session:
        await db.x.find_one(session=session)
        await (await db.client.list_databases(session=session)).to_list()
        await db.client.list_database_names(session=session)
        await db.list_collection_names(session=session)
        await (await db.x.list_indexes(session=session)).to_list()
        await db.x.find().explain()
        await db.x.find(session=session).explain()
        return await numbers(await db.cursor_command("find", "x", session=session))


@program
async def search_indexes(db):
    model = pymongo.operations.SearchIndexModel({"mappings": {}}, "one", "search", more=1)
    calls = (
        lambda: db.x.create_search_index(model, comment="c", maxTimeMS=5000),
        lambda: db.x.create_search_index({"definition": {"mappings": {}}, "name": "two"}),
        lambda: db.x.create_search_indexes([model, model]),
        lambda: db.x.drop_search_index("one", comment="c"),
        lambda: db.x.update_search_index("one", {"mappings": {}}, comment="c", maxTimeMS=5000),
        lambda: db.x.list_search_indexes(),
        lambda: db.x.list_search_indexes("one", comment="c", allowDiskUse=True),
        lambda: db.x.create_search_indexes([{"definition": {}}]),
        lambda: db.x.create_search_index({"name": "no definition"}),
    )
    return [await _outcome(call) for call in calls]


@program
async def explain_with_a_read_concern(db):
    other = db.get_collection("x", read_concern=ReadConcern("majority"))
    plan = await other.find({"a": 1}).limit(2).max_time_ms(5000).comment("c").explain()
    return plan["queryPlanner"]["parsedQuery"]


@program
async def distinct(db):
    cursor = db.x.find({"_id": {"$lt": 9}}).max_time_ms(5000).comment("c").limit(3)
    return sorted(await cursor.distinct("a"))


@program
async def raw_documents(db):
    raw = db.get_collection("x", codec_options=CodecOptions(RawBSONDocument))
    (document,) = await raw.find({"_id": 7}).to_list()
    return document.raw


@program
async def a_limit_within_batches(db):
    return [
        await numbers(db.x.find(limit=limit, batch_size=size))
        for limit, size in ((5, 2), (4, 2), (2, 2), (1, 5), (-3, 0))
    ]


NAME = "cursor_commands"
REFUSED_BEFORE = ("a_wrong_await_time", "cursor_command_with_a_wrong_await_time")
"""Arguments that PyMongo looks at when the first reply has come."""

MADE = ("capped", "y")
"""Collections that programs make."""


@pytest.fixture(scope="module")
def admin(mongodb_uri):
    with pymongo.MongoClient(mongodb_uri) as client:
        documents = [{"_id": n, "a": n % 4, "s": f"v{n}"} for n in range(20)]
        client[NAME].x.insert_many(documents)
        yield client
        client.drop_database(NAME)


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same(name, driver_class, admin, mongodb_uri):
    outcomes, heard = [], []
    for package in (pymongo, ferromongo):
        told = []
        play = _play(PROGRAMS[name], driver_class(), package, mongodb_uri, told)
        outcomes.append(driver_class().run(play))
        heard.append([_plain(event.command) for event in told if hasattr(event, "command")])
        for made in MADE:
            admin[NAME].drop_collection(made)
    assert outcomes[1] == outcomes[0]
    assert heard[1] == ([] if name in REFUSED_BEFORE else heard[0])


async def _play(program, driver, package, uri, told):
    def hear(event):
        if event.command_name != "endSessions":
            told.append(event)

    kind = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, kind)(uri, event_listeners=[Commands(hear)])
    async with Awaitable(client) if driver.name == "sync" else client as client:
        return await _outcome(lambda: program(client[NAME]))


async def _outcome(call):
    try:
        return "returned", await call()
    except Exception as error:
        return "raised", type(error), getattr(error, "code", None)


def _plain(value, key=None):
    """A command without what differs from run to run."""
    if key in ("lsid", "$clusterTime", "txnNumber", "cursors") or isinstance(value, Timestamp):
        return type(value).__name__ if key != "$clusterTime" else None
    if isinstance(value, dict):
        plain = {name: _plain(item, name) for name, item in value.items()}
        plain.pop("$clusterTime", None)  # PyMongo knows it from a connection's handshake on
        if "getMore" in plain:
            plain["getMore"] = bool(plain["getMore"])
        return plain
    return value


def test_commands_are_compared():
    command = {"getMore": 5, "lsid": {"id": 1}, "$clusterTime": {"t": 1}, "batchSize": 2}
    assert _plain(command) == {"getMore": True, "lsid": "dict", "batchSize": 2}
