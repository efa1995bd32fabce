"""Clients, databases and collections, beside Motor."""

from __future__ import annotations

import asyncio
import copy
import pickle
import time

from pymongo import InsertOne, ReadPreference, WriteConcern
from tests.parity.beside_motor import Programs, raised, raised_at_once, raised_stop

program = Programs()


@program
async def writes_and_reads(module, collection):
    results = [
        (await collection.insert_one({"_id": 1, "n": 1})).inserted_id,
        (await collection.insert_many([{"_id": 2}, {"_id": 3}])).inserted_ids,
        (await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})).modified_count,
        (await collection.update_many({}, {"$set": {"k": 1}})).matched_count,
        (await collection.replace_one({"_id": 2}, {"r": 1}, upsert=True)).raw_result["n"],
        (await collection.delete_one({"_id": 3})).deleted_count,
        (await collection.bulk_write([InsertOne({"_id": 4})])).inserted_count,
        await collection.find_one({"_id": 1}),
        await collection.find_one(1),
        await collection.find_one({"_id": 1}, {"n": 1, "_id": 0}),
        await collection.find_one_and_update({"_id": 1}, {"$set": {"u": 1}}, return_document=True),
        await collection.find_one_and_replace({"_id": 4}, {"x": 4}),
        await collection.find_one_and_delete({"_id": 4}),
        await collection.count_documents({}),
        await collection.estimated_document_count(),
        await collection.distinct("k"),
        await collection.create_index([("k", 1)], name="by_k"),
        sorted(await collection.index_information()),
        await collection.drop_index("by_k"),
        await collection.options(),
        (await collection.rename("renamed"))["ok"],
        await collection.database.list_collection_names(),
        (await collection.delete_many({})).deleted_count,
    ]
    return results


@program
async def options_of_collections_and_databases(module, collection):
    concern = WriteConcern(w=1)
    other = collection.with_options(write_concern=concern)
    database = collection.database.with_options(read_preference=ReadPreference.SECONDARY)
    typed = collection.database.get_collection("typed", write_concern=concern)
    return [
        type(other).__name__,
        other.write_concern,
        other == collection,
        other.database is collection.database,
        type(database).__name__,
        database.read_preference,
        database == collection.database,
        typed.write_concern,
        typed.codec_options == collection.codec_options,
        typed.read_concern.document,
        typed.full_name == f"{collection.database.name}.typed",
    ]


@program
async def names_and_items(module, collection):
    client, database = collection.database.client, collection.database
    return [
        type(client.other).__name__,
        type(database.other).__name__,
        collection.sub.name,
        collection["sub"]["more"].name,
        raised_at_once(getattr, client, "_private"),
        raised_at_once(getattr, database, "_private"),
        raised_at_once(getattr, collection, "_private"),
        raised_at_once(client.nothing),
        raised_at_once(database.nothing),
        raised_at_once(collection.nothing),
        raised_at_once(database.__getitem__, "a..b"),
        raised_at_once(client.__getitem__, "a b"),
        raised_at_once(module.AsyncIOMotorCollection, 5, "x"),
        raised_at_once(module.AsyncIOMotorGridFSBucket, 5),
        raised_at_once(bool, database),
        raised_at_once(bool, collection),
        bool(client),
        raised_at_once(iter, database),
    ]


@program
async def equality_and_hashes(module, collection):
    client, database = collection.database.client, collection.database
    cursor = collection.find()
    return [
        client[database.name] == database,
        database.things == collection,
        database.others == collection,
        hash(database.things) == hash(collection),
        len({collection, database.things, database.others}),
        hash(client) == hash(client),
        collection != database.things,
        collection == 5,
        raised_at_once(hash, cursor),
        cursor == collection.find(),
    ]


@program
async def reprs_name_the_delegate(module, collection):
    shown = repr(collection)
    assert shown == f"AsyncIOMotorCollection({collection.delegate!r})"
    return [
        shown.partition("Collection(")[0],
        repr(collection.database).partition("(MongoClient")[0],
        repr(collection.database.client).partition("host")[0],
    ]


@program
async def delegates_are_synchronous(module, collection):
    await collection.insert_one({"_id": 1})
    client, database = collection.database.client, collection.database
    found = await asyncio.to_thread(collection.delegate.find_one)
    return [
        found,
        type(collection.delegate).__name__,
        type(database.delegate).__name__,
        type(client.delegate).__name__,
        type(collection.find().delegate).__name__,
        collection.watch().delegate,
        client.wrap(database.delegate) == database,
        database.wrap(collection.delegate) == collection,
        database.wrap(5),
        collection.wrap(collection.delegate) == collection,
        type(collection.wrap(collection.delegate)).__name__,
    ]


@program
async def copies(module, collection):
    cursor = collection.find({"x": {"y": 1}}).sort("_id").limit(3)
    return [
        type(copy.copy(cursor)).__name__,
        type(copy.deepcopy(cursor)).__name__,
        copy.copy(cursor).collection is collection,
        cursor.clone() is cursor,
        [raised_at_once(pickle.dumps, one) is not None for one in (collection, cursor)],
    ]


async def all_members_known(client):
    """Returns once every member of the replica set was discovered."""
    hosts = (await client.admin.command("hello")).get("hosts", [])
    until = time.monotonic() + 60
    while len(client.secondaries) < len(hosts) - 1:
        assert time.monotonic() < until, (hosts, client.secondaries)
        await asyncio.sleep(0.01)


@program
async def properties_of_a_client(module, collection):
    client = collection.database.client
    await all_members_known(client)
    return [
        client.HOST,
        client.PORT,
        client.address == client.primary,
        client.is_primary,
        client.is_mongos,
        client.secondaries,
        client.arbiters,
        client.nodes == {client.address},
        type(client.options).__name__,
        type(client.topology_description).__name__,
        client.get_database("x").name,
        raised_at_once(client.get_default_database),
        client.get_default_database("y").name,
        client.options.pool_options.driver.name,
        client.options.pool_options.driver.platform,
    ]


@program
async def loops_of_a_client(module, collection):
    loop = asyncio.get_running_loop()
    client = collection.database.client
    objects = [client, collection.database, collection, collection.find(), collection.watch()]
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    objects += [bucket, bucket.open_upload_stream("x"), await client.start_session()]
    return [
        [one.get_io_loop() is loop for one in objects],
        client.io_loop is loop,
        bucket.io_loop is loop,
        raised_at_once(module.AsyncIOMotorClient, io_loop=5),
        collection.find_one().get_loop() is loop,
    ]


@program
async def a_closed_client_refuses(module, collection):
    host, port = await asyncio.to_thread(lambda: collection.database.client.delegate.address)
    client = module.AsyncIOMotorClient(host, port)
    await client.admin.command("ping")
    seen = [client.close(), client.close(), await raised(client.x.y.find_one())]
    return [*seen, await raised(client.x.y.find().to_list(1)), await raised_stop(client.x.y.find())]


test_same_as_motor = program.test()
