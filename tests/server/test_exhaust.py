"""Exhaust cursors on a real server, with more in the stream than sockets hold."""

import bson
from pymongo import CursorType
from tests.drivers import both_drivers

COUNT = 4000
TEXT = "x" * 2000


async def _filled(client, name):
    collection = client[name].c
    await collection.insert_many([{"_id": n, "text": TEXT} for n in range(COUNT)])
    return collection


@both_drivers
async def test_a_slow_reader_gets_all(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        collection = await _filled(client, mongodb_database_name)
        cursor = collection.find(cursor_type=CursorType.EXHAUST, batch_size=200)
        found = 0
        async for document in cursor:
            assert document["_id"] == found
            found += 1
            if found % 500 == 0:
                await driver.sleep(0.02)
                # Others go on meanwhile, over other connections.
                assert await collection.find_one({"_id": found - 1})
        assert found == cursor.retrieved == COUNT
        assert not cursor.alive


@both_drivers
async def test_the_connection_is_good_for_others_afterwards(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri, maxPoolSize=1) as client:
        collection = await _filled(client, mongodb_database_name)
        for _ in range(3):
            cursor = collection.find_raw_batches(cursor_type=CursorType.EXHAUST, batch_size=900)
            batches = await cursor.to_list()
            assert [len(bson.decode_all(batch)) for batch in batches] == [900] * 4 + [400]
            assert (await collection.find_one({"_id": 7}))["text"] == TEXT


@both_drivers
async def test_closed_midway(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri, maxPoolSize=1) as client:
        collection = await _filled(client, mongodb_database_name)
        for length in (1, 600, 2000):
            cursor = collection.find(cursor_type=CursorType.EXHAUST, batch_size=500)
            assert len(await cursor.to_list(length)) == length
            await cursor.close()
            assert (await collection.find_one({"_id": 7}))["text"] == TEXT
