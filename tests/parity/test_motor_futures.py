"""Motor's futures, beside Motor: what its methods return, and when errors come."""

from __future__ import annotations

import asyncio
import functools

from pymongo import InsertOne, UpdateOne
from tests.parity.beside_motor import Programs, raised

program = Programs()


@program
async def operations_return_futures(module, collection):
    names = []
    for call in (
        lambda: collection.insert_one({"_id": 1}),
        lambda: collection.find_one({"_id": 1}),
        lambda: collection.count_documents({}),
        lambda: collection.create_index("x"),
        lambda: collection.index_information(),
        lambda: collection.options(),
        lambda: collection.bulk_write([InsertOne({}), UpdateOne({}, {"$set": {"x": 1}})]),
        lambda: collection.database.command("ping"),
        lambda: collection.database.list_collection_names(),
        lambda: collection.database.client.server_info(),
        lambda: collection.find().to_list(1),
        lambda: collection.find().distinct("x"),
        lambda: collection.find().explain(),
        lambda: collection.drop(),
    ):
        future = call()
        names.append((asyncio.isfuture(future), asyncio.iscoroutine(future), future.done()))
        await future
    return names


@program
async def some_methods_are_coroutines(module, collection):
    client = collection.database.client
    seen = []
    for call in (
        client.start_session,
        client.list_databases,
        collection.database.list_collections,
        functools.partial(collection.database.create_collection, "other"),
        functools.partial(collection.database.cursor_command, "find", "other"),
        collection.find().next,
        collection.find().close,
        collection.watch().close,
    ):
        coroutine = call()
        seen.append(asyncio.iscoroutine(coroutine))
        try:
            await coroutine
        except StopAsyncIteration:
            seen.append("stop")
    return seen


@program
async def a_future_is_awaited_twice(module, collection):
    future = collection.insert_one({"_id": 1})
    first = await future
    return [first is await future, future.result() is first, future.get_loop().is_running()]


@program
async def an_operation_begins_without_await(module, collection):
    collection.insert_one({"_id": "unawaited"})
    for _ in range(500):
        if await collection.find_one({"_id": "unawaited"}):
            break
        await asyncio.sleep(0.01)
    return [await collection.find_one()]


@program
async def futures_are_gathered(module, collection):
    results = await asyncio.gather(*(collection.insert_one({"_id": n}) for n in range(30)))
    found = await asyncio.gather(*(collection.find_one({"_id": n}) for n in range(31)))
    return [[result.inserted_id for result in results], found]


@program
async def errors_come_when_the_future_is_awaited(module, collection):
    await collection.insert_one({"_id": 1})
    futures = [
        collection.insert_one({"_id": 1}),
        collection.insert_one(5),
        collection.update_one({}, {"x": 1}),
        collection.insert_many([]),
        collection.distinct(5),
        collection.database.command("nothing"),
        collection.find_one({"$nothing": 1}),
        collection.drop_index("nothing"),
        collection.rename("a..b"),
    ]
    return [await raised(future) for future in futures]


@program
async def callbacks_of_a_future_are_called(module, collection):
    order = []
    future = collection.find_one()
    future.add_done_callback(lambda done: order.append(done.result()))
    order.append("before")
    await future
    await asyncio.sleep(0)
    return order


test_same_as_motor = program.test()
