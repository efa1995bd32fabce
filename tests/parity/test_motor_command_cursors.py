"""Cursors of aggregates and other commands, beside Motor."""

from __future__ import annotations

import asyncio

from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener
from tests.parity.beside_motor import Programs, filled, raised, raised_at_once

program = Programs()


class Heard(CommandListener):
    """The names of commands."""

    def __init__(self):
        self.names = []

    def started(self, event):
        self.names.append(event.command_name)

    def succeeded(self, event):
        pass

    failed = succeeded


@program
async def aggregates_send_nothing_before_they_are_used(module, collection):
    heard = Heard()
    uri = collection.database.client.delegate
    host, port = await asyncio.to_thread(lambda: uri.address)
    client = module.AsyncIOMotorClient(host, port, event_listeners=[heard])
    own = client[collection.database.name].things
    await own.insert_many([{"_id": n} for n in range(5)])
    heard.names.clear()
    cursors = [own.aggregate([]), own.list_indexes(), own.find(), client.admin.aggregate([])]
    streams = [own.watch(), own.database.watch(), client.watch()]
    seen = [list(heard.names), [type(cursor).__name__ for cursor in cursors]]
    seen.append([stream.alive for stream in streams])
    seen.append(len(await cursors[0].to_list(None)))
    seen.append(list(heard.names))
    client.close()
    return seen


@program
async def aggregates(module, collection):
    await filled(collection, 5)
    database = collection.database
    out = collection.aggregate([{"$match": {"_id": {"$lt": 2}}}, {"$out": "written"}])
    batches = collection.aggregate([{"$sort": {"_id": 1}}], batchSize=2)
    second = collection.aggregate([{"$sort": {"_id": 1}}]).batch_size(2)
    wrong = collection.aggregate([{"$nothing": 1}])
    return [
        await out.to_list(None),
        await database.written.count_documents({}),
        await batches.to_list(3),
        await batches.to_list(None),
        [d async for d in second],
        await raised(wrong.to_list(None)),
        await raised(wrong.next()) in (OperationFailure, StopAsyncIteration, AttributeError),
        await raised(collection.aggregate(5).to_list(1)),
        len(await database.client.admin.aggregate([{"$currentOp": {}}]).to_list(None)) > 0,
        len(await collection.aggregate([], comment="x", let={"a": 1}).to_list(None)),
    ]


@program
async def lists(module, collection):
    client, database = collection.database.client, collection.database
    missing = await database.nothing.list_indexes().to_list(None)
    await collection.create_index("x")
    indexes = [index["name"] async for index in collection.list_indexes()]
    described = await database.list_collections(filter={"name": "things"})
    databases = await client.list_databases(filter={"name": database.name})
    cursor = await database.cursor_command("find", "things")
    return [
        missing,
        indexes,
        [(type(described).__name__, d["name"]) async for d in described],
        [d["name"] == database.name async for d in databases],
        type(cursor).__name__,
        await cursor.to_list(None),
        database.name in await client.list_database_names(),
        raised_at_once(collection.list_indexes().to_list, -1),
    ]


@program
async def raw_batches(module, collection):
    await filled(collection, 5)
    found = collection.find_raw_batches().batch_size(2)
    aggregated = collection.aggregate_raw_batches([{"$sort": {"_id": 1}}])
    seen = [type(found).__name__, type(aggregated).__name__]
    seen.append([bytes(batch) async for batch in found])
    seen.append(await aggregated.to_list(None))
    return seen


@program
async def command_cursors_try_next(module, collection):
    await filled(collection, 2)
    cursor = collection.database.client.admin
    cursor = await collection.database.cursor_command("find", "things", batchSize=1)
    return [await cursor.try_next(), await cursor.try_next(), await cursor.try_next()]


test_same_as_motor = program.test()
