"""Cursors that are interrupted, closed early, or used from inside their own decoding."""

import asyncio
import gc

import pytest
from bson.codec_options import CodecOptions
from pymongo.errors import OperationFailure
from tests.drivers import APP, AsyncDriver, both_drivers, eventually, package
from tests.listeners import Recorder

driver = AsyncDriver()


async def test_a_cancelled_get_more_ends_the_cursor(proxy, mongodb_database_name):
    """Its batch may be lost on the way. For further calls see test_cut_fetches.py."""
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(9)])
        cursor = collection.find(batch_size=3, sort=[("_id", 1)])
        assert [(await cursor.next())["_id"] for _ in range(3)] == [0, 1, 2]
        proxy.stall("getMore")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cursor.next(), 0.2)
        assert not cursor.alive
        await cursor.close()
        assert await cursor.to_list() == []


@both_drivers
async def test_a_closed_cursor_still_yields_what_it_holds(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(9)])
        cursor = collection.find(batch_size=3, sort=[("_id", 1)])
        assert (await cursor.next())["_id"] == 0
        await cursor.close()
        assert cursor.alive
        assert [document["_id"] async for document in cursor] == [1, 2]
        assert not cursor.alive


@both_drivers
async def test_a_cursor_outlives_its_client_as_far_as_its_batch_goes(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(9)])
        cursor = collection.find(batch_size=3)
        await cursor.next()
    assert {(await cursor.next())["_id"] for _ in range(2)} <= set(range(9))
    with pytest.raises(package.errors.InvalidOperation):
        await cursor.next()


def test_user_code_in_decoding_may_look_at_the_cursor(client, mongodb_database_name):
    """A look from a document class, as from another thread meanwhile, must not wait for ever."""
    seen = []

    class Looking(dict):
        def __setitem__(self, key, value):
            seen.append((cursor.alive, cursor.retrieved, cursor.cursor_id))
            super().__setitem__(key, value)

    database = client[mongodb_database_name]
    database.c.insert_many([{"_id": n} for n in range(3)])
    cursor = database.get_collection("c", CodecOptions(document_class=Looking)).find()
    assert len(list(cursor)) == 3
    assert seen[0] == (True, 3, 0)
    cursor = database.get_collection("c", CodecOptions(document_class=Looking)).find()
    assert len(cursor.to_list()) == 3


def test_a_forgotten_cursor_does_not_begin_its_sessions_transaction(client, mongodb_database_name):
    """The background's killCursors must not carry the `startTransaction` of the next command."""
    collection = client[mongodb_database_name].c
    collection.insert_many([{"_id": n} for n in range(9)])
    with client.start_session() as session:
        for n in range(5):
            cursor = collection.find(batch_size=2, session=session)
            next(cursor)
            session.start_transaction()
            del cursor
            gc.collect()
            asyncio.run(asyncio.sleep(0.05))
            collection.insert_one({"_id": 100 + n}, session=session)
            session.commit_transaction()
    assert collection.count_documents({}) == 14


async def test_a_cursor_closed_while_it_opens_is_not_left_on_the_server(
    client, proxy, mongodb_database_name
):
    async with package.AsyncMongoClient(proxy.uri()) as slow:
        collection = slow[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(9)])
        proxy.delay = 0.2
        cursor = collection.find(batch_size=2, comment=mongodb_database_name)
        opening = asyncio.ensure_future(cursor.next())
        await asyncio.sleep(0.05)
        await cursor.close()
        await asyncio.gather(opening, return_exceptions=True)

        def left():
            idle = {"$currentOp": {"idleCursors": True, "allUsers": True}}
            ours = {"$match": {"cursor.originatingCommand.comment": mongodb_database_name}}
            return list(client.admin.aggregate([idle, ours]))

        await eventually(driver, lambda: left() == [], timeout=5)


@both_drivers
async def test_an_error_of_a_get_more_is_raised_when_the_cursor_was_closed(
    driver, mongodb_uri, mongodb_database_name, fail
):
    recorder = Recorder()
    async with driver.client(mongodb_uri, appName=APP, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(9)])
        for read in ("next", "to_list"):
            for cursor in (
                collection.find(batch_size=2),
                await collection.aggregate([], batchSize=2),
            ):
                await cursor.next()
                await cursor.next()
                recorder.events.clear()
                with fail("getMore", times=1, errorCode=2), pytest.raises(OperationFailure):
                    await getattr(cursor, read)()
                assert [command["cursors"] for command in recorder.sent("killCursors")] == [
                    [cursor.cursor_id]
                ]
                assert not cursor.alive
