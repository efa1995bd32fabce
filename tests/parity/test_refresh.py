"""Wrappers around the cursors' `_refresh`, such as Elastic APM's, are called as with PyMongo.

The programs run with both drivers and both APIs. What they return, and what each `_refresh`
returned meanwhile, must be equal.
"""

import copy
import importlib

import pymongo
import pytest
import wrapt
from tests.drivers import AsyncDriver, Awaitable, SyncDriver

import ferromongo
import ferromongo.gridfs

PROGRAMS = {}
NAME = "refresh_parity"


def program(function):
    PROGRAMS[function.__name__] = function
    return function


async def numbers(cursor):
    return [document["_id"] async for document in cursor]


@program
async def a_batch(db):
    return await numbers(db.x.find())


@program
async def some_batches(db):
    return await numbers(db.x.find(batch_size=3)), await numbers(db.x.find().batch_size(2).limit(5))


@program
async def no_documents(db):
    return await numbers(db.x.find({"_id": -1})), await db.x.find({"_id": -1}).to_list()


@program
async def a_closed_cursor(db):
    cursor = db.x.find()
    await cursor.close()
    return await numbers(cursor)


@program
async def rewound_and_cloned(db):
    cursor = db.x.find(batch_size=3)
    await cursor.next()
    again = copy.copy(cursor) if not isinstance(cursor, Awaitable) else cursor.clone()
    await cursor.rewind()
    return await numbers(cursor), await numbers(again)


@program
async def lists(db):
    cursor = db.x.find(batch_size=3)
    parts = [await cursor.to_list(4), await cursor.to_list(2), await cursor.to_list(9)]
    return await db.x.find(batch_size=3).to_list(), parts, await cursor.to_list()


@program
async def one_document(db):
    return await db.x.find_one(), await db.x.find_one({"_id": -1}), await db.x.find_one(3)


@program
async def raw_batches(db):
    found = await db.x.find_raw_batches(batch_size=3).to_list()
    return found, await (await db.x.aggregate_raw_batches([], batchSize=3)).to_list()


@program
async def commands(db):
    found = await numbers(await db.x.aggregate([], batchSize=3))
    listed = await (await db.x.aggregate([], batchSize=3)).to_list()
    cursor = await db.x.aggregate([], batchSize=3)
    parts = [await cursor.to_list(4), await cursor.to_list(9), await cursor.to_list()]
    return found, listed, parts, await numbers(await db.x.aggregate([{"$match": {"_id": -1}}]))


@program
async def commands_one_by_one(db):
    cursor, found = await db.x.aggregate([], batchSize=3), []
    while cursor.alive:
        found.append(await cursor.try_next())
    return found, await cursor.try_next()


@program
async def names(db):
    return await db.list_collection_names(filter={"name": "x"}), await db.x.index_information()


@program
async def a_tailable_cursor(db):
    await db.create_collection("capped", capped=True, size=10_000)
    await db.capped.insert_many([{"_id": number} for number in range(3)])
    cursor = db.capped.find(cursor_type=pymongo.CursorType.TAILABLE, batch_size=2)
    found = [await numbers(cursor), await numbers(cursor)]
    await db.capped.insert_one({"_id": 3})
    found += [await numbers(cursor), await cursor.to_list()]
    await cursor.close()
    await db.drop_collection("capped")
    return found


@program
async def an_error(db):
    with pytest.raises(pymongo.errors.OperationFailure):
        await db.x.find({"$nonsense": 1}).next()
    cursor = db.x.find(batch_size=3)
    await cursor.next()
    await db.command("killCursors", "x", cursors=[cursor.cursor_id])
    with pytest.raises(pymongo.errors.CursorNotFound):
        await numbers(cursor)
    return cursor.alive, await numbers(cursor)


@program
async def by_hand(db):
    cursor = db.x.find(batch_size=3)
    sizes = [await cursor._refresh(), await cursor._refresh()]
    await cursor.next()
    return [*sizes, await cursor._refresh(), await numbers(cursor), await cursor._refresh()]


@pytest.fixture(scope="module", autouse=True)
def documents(mongodb_uri):
    with pymongo.MongoClient(mongodb_uri) as client:
        client[NAME].x.insert_many([{"_id": number} for number in range(7)])
        yield
        client.drop_database(NAME)


def refreshed(package, monkeypatch):
    """What each `_refresh` returned, after putting a wrapper around it."""
    sizes = []

    def wrapper(wrapped, instance, args, kwargs):
        assert instance.alive in (True, False)
        size = wrapped(*args, **kwargs)
        sizes.append(size)
        return size

    async def async_wrapper(wrapped, instance, args, kwargs):
        size = await wrapped(*args, **kwargs)
        sizes.append(size)
        return size

    wrappers = {"synchronous": ("", wrapper), "asynchronous": ("Async", async_wrapper)}
    for api, (prefix, wrap) in wrappers.items():
        for module, name in (("cursor", "Cursor"), ("command_cursor", "CommandCursor")):
            of = importlib.import_module(f"{package.__name__}.{api}.{module}")
            kind = getattr(of, prefix + name)
            monkeypatch.setattr(kind, "_refresh", wrapt.FunctionWrapper(kind._refresh, wrap))
    return sizes


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_refreshes(name, driver_class, mongodb_uri, monkeypatch):
    outcomes = []
    for package in (pymongo, ferromongo):
        with monkeypatch.context() as patches:
            sizes = refreshed(package, patches)
            driver = driver_class()
            returned = driver.run(play(PROGRAMS[name], driver, package, mongodb_uri))
            outcomes.append((returned, sizes))
    assert outcomes[1] == outcomes[0]
    assert outcomes[0][1] or name == "names"


async def play(function, driver, package, uri):
    made = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, made)(uri)
    async with Awaitable(client) if driver.name == "sync" else client as client:
        return await function(client[NAME])


def test_cursors_that_exist_are_refreshed_by_a_wrapper_too(mongodb_uri, monkeypatch):
    with ferromongo.MongoClient(mongodb_uri) as client:
        cursor = client[NAME].x.find(batch_size=3)
        assert next(cursor) == {"_id": 0}
        sizes = refreshed(ferromongo, monkeypatch)
        assert [document["_id"] for document in cursor] == [1, 2, 3, 4, 5, 6]
        assert sizes == [3, 1, 0]
        monkeypatch.undo()
        assert len(list(client[NAME].x.find(batch_size=3))) == 7
        assert len(sizes) == 3


def test_subclasses_and_objects_may_have_a_refresh_of_their_own(mongodb_uri):
    sizes = []

    class Counted(ferromongo.cursor.Cursor):
        def _refresh(self):
            sizes.append(super()._refresh())
            return sizes[-1]

    with ferromongo.MongoClient(mongodb_uri) as client:
        assert len(list(Counted(client[NAME].x, batch_size=4))) == 7
        assert sizes == [4, 3, 0]
        cursor = client[NAME].x.find()
        refresh = cursor._refresh
        cursor._refresh = lambda: sizes.append("called") or refresh()
        assert len(cursor.to_list()) == 7
        assert sizes == [4, 3, 0, "called"]


def test_files_are_read_through_refresh(mongodb_uri, monkeypatch):
    with ferromongo.MongoClient(mongodb_uri) as client:
        files = ferromongo.gridfs.GridFS(client[NAME])
        number = files.put(b"x" * 600_000)
        sizes = refreshed(ferromongo, monkeypatch)
        assert len(files.get(number).read()) == 600_000
        assert sizes == [1, 3, 0]


async def test_a_list_by_refreshes_keeps_the_clients_time_limit(mongodb_uri, monkeypatch):
    """All batches share it: the deadline that each sees is the same."""
    deadlines = []

    async def look(wrapped, instance, args, kwargs):
        deadlines.append(pymongo._csot.get_deadline())
        return await wrapped(*args, **kwargs)

    for kind in (
        ferromongo.asynchronous.cursor.AsyncCursor,
        ferromongo.asynchronous.command_cursor.AsyncCommandCursor,
    ):
        monkeypatch.setattr(kind, "_refresh", wrapt.FunctionWrapper(kind._refresh, look))
    async with ferromongo.AsyncMongoClient(mongodb_uri, timeoutMS=60_000) as client:
        assert len(await client[NAME].x.find(batch_size=3).to_list()) == 7
        first = set(deadlines)
        assert len(deadlines) == 3
        assert len(first) == 1
        assert first != {float("inf")}
        assert len(await (await client[NAME].x.aggregate([], batchSize=3)).to_list()) == 7
        assert len(set(deadlines) - first) == 1
        with pymongo.timeout(30):
            deadlines.clear()
            around = pymongo._csot.get_deadline()
            assert len(await client[NAME].x.find(batch_size=3).to_list()) == 7
        assert set(deadlines) == {around}
