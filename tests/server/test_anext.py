"""`anext` of every kind of asynchronous iterator, by all the ways there are to wait for it.

The items are PyMongo's, and a step that was given up before it began takes none of them."""

import asyncio
import gc
import inspect
import types
import weakref

import pymongo
import pytest
from tests.drivers import package
from tests.server.iterators import KINDS, fill, plain

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
END = object()


async def read(iterator, step):
    """What `step` answers until the end, and the class of the error if it ends with one."""
    items = []
    while True:
        try:
            item = await step(iterator)
        except StopAsyncIteration:
            return items
        except Exception as error:
            return [*items, type(error)]
        if item is END:
            return items
        items.append(plain(item))


async def in_a_group(iterator):
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(iterator.__anext__())
    except BaseExceptionGroup as errors:
        (error,) = errors.exceptions
        raise error from None
    return task.result()


async def within_a_timeout(iterator):
    async with asyncio.timeout(10):
        return await anext(iterator)


async def gathered(iterator):
    (item,) = await asyncio.gather(anext(iterator))
    return item


async def from_another_thread(iterator):
    loop = asyncio.get_running_loop()

    def wait():
        return asyncio.run_coroutine_threadsafe(iterator.__anext__(), loop).result(10)

    return await asyncio.to_thread(wait)


async def from_another_thread_with_a_default(iterator):
    loop = asyncio.get_running_loop()

    async def step():
        return await anext(iterator, END)

    return await asyncio.to_thread(
        lambda: asyncio.run_coroutine_threadsafe(step(), loop).result(10)
    )


@types.coroutine
def by_send(iterator):
    step = iterator.__anext__()
    while True:
        try:
            waits_for = step.send(None)
        except StopIteration as end:
            return end.value
        yield waits_for


WAYS = {
    "anext": anext,
    "anext with a default": lambda iterator: anext(iterator, END),
    "wait_for": lambda iterator: asyncio.wait_for(anext(iterator), 10),
    "wait_for with a default": lambda iterator: asyncio.wait_for(anext(iterator, END), 10),
    "create_task": lambda iterator: asyncio.create_task(anext(iterator)),
    "ensure_future": lambda iterator: asyncio.ensure_future(anext(iterator)),
    "ensure_future with a default": lambda iterator: asyncio.ensure_future(anext(iterator, END)),
    "shield": lambda iterator: asyncio.shield(anext(iterator)),
    "gather": gathered,
    "TaskGroup": in_a_group,
    "timeout": within_a_timeout,
    "run_coroutine_threadsafe": from_another_thread,
    "run_coroutine_threadsafe with a default": from_another_thread_with_a_default,
    "send": by_send,
}


async def dropped(iterator):
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        iterator.__anext__()


async def dropped_with_a_default(iterator):
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        anext(iterator, END)


async def closed(iterator):
    iterator.__anext__().close()


async def thrown_into(iterator):
    with pytest.raises(LookupError):
        iterator.__anext__().throw(LookupError())


async def cancelled(iterator):
    task = asyncio.create_task(iterator.__anext__())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def out_of_time(iterator):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(iterator.__anext__(), 0)


GIVEN_UP = [dropped, dropped_with_a_default, closed, thrown_into, cancelled, out_of_time]


def given_up_first(how):
    async def step(iterator):
        await how(iterator)
        return await anext(iterator)

    return step


@pytest.fixture(scope="module")
def filled(mongodb_uri):
    with pymongo.MongoClient(mongodb_uri) as client:
        client.drop_database("anext")
        fill(client, "anext")
        yield mongodb_uri, "anext"
        client.drop_database("anext")


async def items(kind, driver, place, ways):
    uri, name = place
    async with driver.AsyncMongoClient(uri) as client:
        return {way: await read(await kind(client, client[name]), ways[way]) for way in ways}


@every_kind
async def test_anext_returns_the_same_items_with_every_way_of_waiting(kind, filled):
    expected = (await items(kind, pymongo, filled, {"anext": anext}))["anext"]
    assert await items(kind, package, filled, WAYS) == dict.fromkeys(WAYS, expected)


@every_kind
async def test_anext_given_up_before_its_first_step_takes_no_item(kind, filled):
    expected = (await items(kind, pymongo, filled, {"anext": anext}))["anext"]
    ways = {how.__name__: given_up_first(how) for how in GIVEN_UP}
    assert await items(kind, package, filled, ways) == dict.fromkeys(ways, expected)


@every_kind
async def test_anext_is_a_coroutine_that_does_not_raise_before_it_is_awaited(kind, filled):
    uri, name = filled
    for driver in (pymongo, package):
        async with driver.AsyncMongoClient(uri) as client:
            iterator = await kind(client, client[name])
            await read(iterator, anext)
            step = iterator.__anext__()
            assert inspect.iscoroutine(step)
            assert asyncio.iscoroutine(step)
            assert inspect.isawaitable(step)
            assert inspect.iscoroutinefunction(iterator.__anext__)
            with pytest.raises((StopAsyncIteration, pymongo.errors.PyMongoError)):
                await step
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await step


@pytest.mark.parametrize("how", GIVEN_UP)
async def test_anext_given_up_keeps_no_reference(how, async_database):
    await async_database.c.insert_many([{"_id": n} for n in range(7)])
    gc.disable()
    try:
        cursor = async_database.c.find(batch_size=3)
        for _ in range(4):
            await how(cursor)
            await anext(cursor)
        gone = weakref.ref(cursor)
        del cursor
        assert gone() is None
    finally:
        gc.enable()


# Subclasses


def noting(base, name):
    """A subclass of a cursor class that overrides a method, and notes its calls in `steps`."""

    def method(self):
        self.steps.append(name)
        return getattr(super(kind, self), name)()

    async def coroutine(self):
        self.steps.append(name)
        return await getattr(super(kind, self), name)()

    overridden = coroutine if base.__name__.startswith("Async") else method
    kind = type("Noting", (base,), {"steps": [], name: overridden})
    return kind


@pytest.mark.parametrize("name", ["next", "__anext__"])
async def test_async_iteration_uses_the_next_of_a_subclass(name, filled):
    uri, database = filled
    steps = []
    for driver in (pymongo, package):
        kind = noting(driver.asynchronous.cursor.AsyncCursor, name)
        async with driver.AsyncMongoClient(uri) as client:
            collection = client[database].c
            assert len([document async for document in kind(collection, {"_id": {"$lt": 3}})]) == 3
            cursor = kind(collection)
            assert await anext(cursor, None) == {"_id": 0}
            assert await cursor.next() == {"_id": 1}
            await cursor.close()
        steps.append(kind.steps)
    assert steps[1] == steps[0] != []


@pytest.mark.parametrize("name", ["next", "__next__"])
def test_sync_iteration_uses_the_next_of_a_subclass(name, filled):
    uri, database = filled
    steps = []
    for driver in (pymongo, package):
        kind = noting(driver.cursor.Cursor, name)
        with driver.MongoClient(uri) as client:
            collection = client[database].c
            assert len(list(kind(collection, {"_id": {"$lt": 3}}))) == 3
            cursor = kind(collection)
            assert next(cursor, None) == {"_id": 0}
            assert cursor.next() == {"_id": 1}
            cursor.close()
        steps.append(kind.steps)
    assert steps[1] == steps[0] != []


async def test_iteration_uses_the_next_of_a_mixin(async_database):
    await async_database.c.insert_one({"_id": 1})

    class Tagged:
        async def next(self):
            return {"tag": 1, **await super().next()}

    class Cursor(Tagged, package.asynchronous.cursor.AsyncCursor):
        pass

    assert [document async for document in Cursor(async_database.c)] == [{"tag": 1, "_id": 1}]
