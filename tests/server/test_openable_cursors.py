"""Asynchronous methods that return cursors: awaited, or iterated and entered at once."""

import asyncio
import collections.abc
import gc
import inspect
import subprocess
import sys
import warnings
from unittest import mock

import pytest
from pymongo.errors import OperationFailure
from tests.drivers import ferromongo_only, package

pytestmark = ferromongo_only

METHODS = {
    "aggregate": lambda collection: collection.aggregate([]),
    "aggregate of a database": lambda collection: collection.database.aggregate(
        [{"$listLocalSessions": {}}]
    ),
    "aggregate_raw_batches": lambda collection: collection.aggregate_raw_batches([]),
    "list_indexes": lambda collection: collection.list_indexes(),
    "list_collections": lambda collection: collection.database.list_collections(),
    "list_databases": lambda collection: collection.database.client.list_databases(),
    "cursor_command": lambda collection: collection.database.cursor_command("find", "x"),
    "watch": lambda collection: collection.watch(),
    "watch of a database": lambda collection: collection.database.watch(),
    "watch of a client": lambda collection: collection.database.client.watch(),
}
STREAMS = [name for name in METHODS if name.startswith("watch")]


@pytest.fixture
async def collection(async_database):
    await async_database.x.insert_many([{"_id": i} for i in range(5)])
    return async_database.x


@pytest.mark.parametrize("name", sorted(METHODS.keys() - STREAMS))
async def test_cursors_are_iterated_without_await(collection, name):
    method = METHODS[name]
    iterated = [item async for item in method(collection)]
    listed = await (await method(collection)).to_list()
    assert list(map(type, iterated)) == list(map(type, listed)) != []
    assert len(iterated) == len(listed) or "of a database" in name  # sessions come and go


async def test_iteration_goes_on_over_several_batches_and_after_a_break(collection):
    opening = collection.aggregate([{"$sort": {"_id": 1}}], batchSize=2)
    async for found in opening:
        assert found == {"_id": 0}
        break
    assert [found["_id"] async for found in opening] == [1, 2, 3, 4]
    assert [found async for found in opening] == []


@pytest.mark.parametrize("name", METHODS)
async def test_cursors_are_entered_without_await(collection, name):
    async with METHODS[name](collection) as cursor:
        assert type(cursor) is type(await METHODS[name](collection))
    assert name not in STREAMS or not cursor.alive


async def test_changes_are_iterated_without_await(collection):
    async def insert():
        for _ in range(100):
            await collection.insert_one({})
            await asyncio.sleep(0.05)

    inserting = asyncio.create_task(insert())
    async for change in collection.watch():
        assert change["operationType"] == "insert"
        break
    inserting.cancel()


async def test_errors_are_raised_by_the_first_step(collection):
    with pytest.raises(OperationFailure):
        async for _ in collection.aggregate([{"$nothing": 1}]):
            pass
    with pytest.raises(OperationFailure):
        async with collection.aggregate([{"$nothing": 1}]):
            pass
    with pytest.raises(OperationFailure):
        await collection.aggregate([{"$nothing": 1}])
    with pytest.raises(TypeError):
        collection.aggregate()


async def test_what_takes_a_coroutine_takes_it(collection):
    kind = package.asynchronous.command_cursor.AsyncCommandCursor
    for awaitable in (
        collection.aggregate([]),
        asyncio.create_task(collection.aggregate([])),
        asyncio.ensure_future(collection.aggregate([])),
        asyncio.wait_for(collection.aggregate([]), 60),
        asyncio.shield(collection.aggregate([])),
    ):
        assert type(await awaitable) is kind
    both = await asyncio.gather(collection.aggregate([]), collection.list_indexes())
    assert [type(cursor) for cursor in both] == [kind, kind]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(collection.aggregate([]), name="group")
    assert type(task.result()) is kind


async def test_a_task_of_it_can_be_cancelled(collection):
    slow = [{"$match": {"$expr": {"$function": {"body": _SLEEP, "args": [], "lang": "js"}}}}]
    task = asyncio.create_task(collection.aggregate(slow))
    await asyncio.sleep(0.2)
    assert "AsyncCollection.aggregate" in repr(task)
    assert task.get_stack()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("name", METHODS)
async def test_it_looks_like_a_coroutine(collection, name):
    opening = METHODS[name](collection)
    assert inspect.iscoroutine(opening)
    assert inspect.isawaitable(opening)
    assert asyncio.iscoroutine(opening)
    assert isinstance(opening, collections.abc.Coroutine)
    assert inspect.getcoroutinestate(opening) == "CORO_CREATED"
    assert opening.__qualname__ in repr(opening)
    opening.close()
    assert inspect.getcoroutinestate(opening) == "CORO_CLOSED"


async def test_the_methods_are_coroutine_functions(collection):
    for method in (collection.aggregate, type(collection).aggregate, collection.database.watch):
        assert inspect.iscoroutinefunction(method)
        assert not inspect.isgeneratorfunction(method)
    assert list(inspect.signature(collection.list_indexes).parameters) == ["session", "comment"]
    specified = mock.create_autospec(collection)
    assert isinstance(specified.aggregate, mock.AsyncMock)
    with mock.patch.object(type(collection), "aggregate") as patched:
        assert isinstance(patched, mock.AsyncMock)


async def test_one_that_is_dropped_warns(collection):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        collection.aggregate([])
        gc.collect()
    assert [str(warning.message) for warning in caught] == [
        "coroutine 'AsyncCollection.aggregate' was never awaited"
    ]


async def test_a_subclass_that_overrides_aggregate_as_coroutine_works(collection):
    class Filtered(package.asynchronous.collection.AsyncCollection):
        async def aggregate(self, pipeline, *args, **options):
            return await super().aggregate([{"$match": {"_id": 1}}, *pipeline], *args, **options)

    filtered = Filtered(collection.database, collection.name)
    assert await (await filtered.aggregate([])).to_list() == [{"_id": 1}]


def test_asyncio_run_takes_it(mongodb_uri, mongodb_database_name):
    program = f"""
import asyncio, ferromongo
client = ferromongo.AsyncMongoClient({mongodb_uri!r})
cursor = asyncio.run(client[{mongodb_database_name!r}].x.aggregate([]))
assert isinstance(cursor, ferromongo.asynchronous.command_cursor.AsyncCommandCursor)
asyncio.run(client.close())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


_SLEEP = "function() { sleep(2000); return true; }"


async def test_anext_with_a_default_ends_it(collection):
    cursor = collection.aggregate([{"$limit": 2}])
    found = 0
    while await anext(cursor, None) is not None:
        found += 1
    assert found == 2
