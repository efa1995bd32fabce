"""Cursors of find, beside Motor."""

from __future__ import annotations

import asyncio
import warnings

import pymongo
from tests.parity.beside_motor import Programs, filled, raised, raised_at_once, raised_stop

program = Programs()


@program
async def chain_methods_return_the_cursor(module, collection):
    await filled(collection, 10)
    cursor = collection.find()
    same = [
        cursor.sort("_id", -1) is cursor,
        cursor.limit(5) is cursor,
        cursor.skip(1) is cursor,
        cursor.batch_size(2) is cursor,
        cursor.hint([("_id", 1)]) is cursor,
        cursor.comment("x") is cursor,
        cursor.max_time_ms(10_000) is cursor,
        cursor.where("true") is cursor,
        cursor.collation(None) is cursor,
        cursor.allow_disk_use(True) is cursor,
        cursor.add_option(16) is cursor,
        cursor.remove_option(16) is cursor,
    ]
    found = [document["_id"] async for document in cursor]
    refused = raised_at_once(cursor.limit, 3)
    return [same, found, refused, raised_at_once(collection.find().sort, 5)]


@program
async def to_list(module, collection):
    await filled(collection)
    cursor = collection.find().sort("_id")
    pages = [[d["_id"] for d in await cursor.to_list(length)] for length in (100, 0, 7, None, 5)]
    return [
        pages,
        cursor.alive,
        len(await collection.find().to_list()),
        len(await collection.find().batch_size(3).to_list(length=10)),
        len(await collection.find().limit(7).to_list(100)),
        await collection.find({"_id": -1}).to_list(5),
        raised_at_once(collection.find().to_list, "5"),
        raised_at_once(collection.find().to_list, -1),
        await raised(collection.find({"$nothing": 1}).to_list(1)),
        raised_at_once(collection.find(cursor_type=pymongo.CursorType.TAILABLE).to_list, 1),
        len(await collection.find().to_list(True)),
    ]


@program
async def to_list_goes_on_where_iteration_stopped(module, collection):
    await filled(collection)
    cursor = collection.find().sort("_id")
    first = await cursor.next()
    second = [await anext(cursor) for _ in range(3)]
    rest = await cursor.to_list(None)
    return [first, second, len(rest), rest[0], await raised_stop(cursor)]


@program
async def iteration_ends_with_the_cursor(module, collection):
    await filled(collection, 5)
    cursor = collection.find().batch_size(2)
    states = [(cursor.alive, cursor.started, cursor.closed)]
    async for _ in cursor:
        pass
    states.append((cursor.alive, cursor.started, cursor.closed, int(cursor.cursor_id)))
    await cursor.close()
    states.append((cursor.alive, cursor.closed))
    async with collection.find().batch_size(2) as other:
        await other.next()
    states.append((other.closed, await raised_stop(other)))
    return states


@program
async def rewound_cursors_start_over(module, collection):
    await filled(collection, 5)
    cursor = collection.find().sort("_id")
    await cursor.next()
    rewound = cursor.rewind()
    again = await cursor.to_list(2)
    return [rewound is cursor, again, (await cursor.clone().to_list(1))]


@program
async def fetch_next_and_next_object(module, collection):
    await filled(collection, 5)
    cursor = collection.find().sort("_id").batch_size(2)
    seen = [cursor.next_object()]
    while await cursor.fetch_next:
        seen.append(cursor.next_object())
    seen += [bool(await cursor.fetch_next), cursor.next_object(), cursor.alive]
    mixed = collection.find().sort("_id")
    await mixed.fetch_next
    seen += [await mixed.next(), mixed.next_object()]
    peeked = collection.find().sort("_id")
    await peeked.fetch_next
    seen += [await peeked.to_list(2), await peeked.to_list(None)]
    aggregate = collection.aggregate([{"$sort": {"_id": 1}}, {"$limit": 2}])
    while await aggregate.fetch_next:
        seen.append(aggregate.next_object())
    return seen


@program
async def closed_cursors_keep_what_they_have_fetched(module, collection):
    await filled(collection, 10)
    seen = []
    for make in (
        lambda: collection.find().batch_size(3),
        lambda: collection.aggregate([], batchSize=3),
    ):
        for before in ("fetch_next", "next", "to_list", None):
            cursor = make()
            if before == "fetch_next":
                await cursor.fetch_next
            elif before == "next":
                await cursor.next()
            elif before == "to_list":
                await cursor.to_list(1)
            elif isinstance(cursor, module.AsyncIOMotorLatentCommandCursor):
                continue  # Motor's runs the aggregation after `close`
            await cursor.close()
            seen.append((before, cursor.alive, cursor.next_object(), await cursor.to_list(None)))
            seen.append((cursor.alive, await cursor.fetch_next, cursor.next_object()))
    async with collection.find() as cursor:
        await cursor.fetch_next
    seen.append([document async for document in cursor])
    return seen


@program
async def fetch_next_warns(module, collection):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cursor = collection.find()
        await cursor.fetch_next
        cursor.next_object()
    return [warning.category for warning in caught]


@program
async def each_calls_back(module, collection):
    await filled(collection, 5)

    async def collected(cursor, stop_at=None):
        seen, done = [], asyncio.Event()

        def callback(document, error):
            seen.append((document, type(error)))
            if document is None or document["_id"] == stop_at:
                done.set()
                return False

        returned = cursor.each(callback)
        await asyncio.wait_for(done.wait(), 30)
        await asyncio.sleep(0)
        return [returned, seen]

    return [
        await collected(collection.find().sort("_id").batch_size(2)),
        await collected(collection.find().sort("_id"), stop_at=1),
        await collected(collection.find({"_id": -1})),
        await collected(collection.find({"$nothing": 1})),
        raised_at_once(collection.find().each, 5),
    ]


@program
async def tailable_cursors(module, collection):
    database = collection.database
    capped = await database.create_collection("capped", capped=True, size=10_000)
    await capped.insert_many([{"_id": n} for n in range(3)])
    cursor = capped.find(cursor_type=pymongo.CursorType.TAILABLE_AWAIT).max_await_time_ms(50)
    seen = [await cursor.next() for _ in range(3)]
    ended = await raised_stop(cursor)
    alive = cursor.alive
    await capped.insert_one({"_id": 3})
    later = await cursor.next()
    await cursor.close()
    return [type(capped).__name__, seen, ended, alive, later]


test_same_as_motor = program.test()
