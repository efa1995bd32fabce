"""Cursor calls that are cancelled or interrupted while they fetch documents or collect a list.

Documents may be lost. The cursor then raises, instead of continuing or ending."""

import asyncio
import signal
import threading

import pytest
from pymongo import CursorType
from tests.drivers import ferromongo_only, package

pytestmark = ferromongo_only  # PyMongo's cursors come to their end
InvalidOperation = package.errors.InvalidOperation


async def _find(collection):
    return collection.find(batch_size=3, sort=[("_id", 1)])


async def _raw_batches(collection):
    return collection.find_raw_batches(batch_size=3)


async def _exhaust(collection):
    return collection.find(batch_size=3, cursor_type=CursorType.EXHAUST)


async def _aggregate(collection):
    return await collection.aggregate([], batchSize=3)


async def _cursor_command(collection):
    return await collection.database.cursor_command({"find": collection.name, "batchSize": 3})


KINDS = [_find, _raw_batches, _exhaust, _aggregate, _cursor_command]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.lstrip("_"))


@pytest.fixture
async def collection(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(12)])
        yield collection


async def give_up(call):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, 0.2)


async def expect_loud(cursor):
    assert not cursor.alive
    for call in (cursor.__anext__, cursor.next, cursor.to_list):
        with pytest.raises(InvalidOperation, match="cancelled or interrupted"):
            await call()
    with pytest.raises(InvalidOperation):
        [document async for document in cursor]
    await cursor.close()
    assert await cursor.to_list() == []


@every_kind
@pytest.mark.parametrize("way", ["anext", "anext with a default", "next", "to_list"])
async def test_a_cursor_raises_after_a_cancelled_get_more(kind, way, collection, proxy):
    cursor = await kind(collection)
    for _ in range(1 if "batches" in kind.__name__ else 3):
        await anext(cursor)
    if kind is _exhaust:
        proxy.freeze()
    else:
        proxy.stall("getMore")
    step = {
        "anext": lambda: anext(cursor),
        "anext with a default": lambda: anext(cursor, None),
        "next": cursor.next,
        "to_list": cursor.to_list,
    }[way]
    await give_up(step())
    proxy.thaw()
    await expect_loud(cursor)


async def test_a_cursor_raises_after_a_cancelled_try_next(collection, proxy):
    cursor = await _aggregate(collection)
    for _ in range(3):
        await cursor.try_next()
    proxy.stall("getMore")
    await give_up(cursor.try_next())
    with pytest.raises(InvalidOperation):
        await cursor.try_next()
    await expect_loud(cursor)


async def test_a_cursor_raises_after_its_first_command_was_cancelled(collection, proxy):
    cursor = await _find(collection)
    proxy.stall("find")
    await give_up(anext(cursor))
    await expect_loud(cursor)


async def test_a_cursor_raises_after_a_cancelled_to_list(collection):
    """All documents are here, and those that were decoded go with the list."""
    await collection.insert_many([{"_id": n, "s": "x" * 2**21} for n in range(100, 106)])
    cursor = collection.find({"_id": {"$gte": 99}}, sort=[("_id", 1)])
    assert (await anext(cursor))["_id"] == 100
    task = asyncio.create_task(cursor.to_list())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await expect_loud(cursor)


async def test_a_cursor_can_be_rewound_after_a_cancelled_fetch(collection, proxy):
    cursor = await _find(collection)
    for _ in range(3):
        await anext(cursor)
    proxy.stall("getMore")
    await give_up(anext(cursor))
    await cursor.rewind()
    assert [document["_id"] async for document in cursor] == list(range(12))


async def test_a_fetch_cancelled_after_close_leaves_an_empty_cursor(collection, proxy):
    cursor = await _find(collection)
    for _ in range(3):
        await anext(cursor)
    proxy.stall("getMore")
    call = asyncio.create_task(anext(cursor))
    await asyncio.sleep(0.1)
    await cursor.close()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert await cursor.to_list() == []


@pytest.mark.parametrize("way", ["__next__", "next", "to_list"])
def test_a_cursor_raises_after_an_interrupted_fetch(way, proxy, mongodb_database_name):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with package.MongoClient(proxy.uri()) as client:
            collection = client[mongodb_database_name].c
            collection.insert_many([{"_id": n} for n in range(12)])
            cursor = collection.find(batch_size=3)
            for _ in range(3):
                next(cursor)
            proxy.stall("getMore")
            main = threading.main_thread().ident
            timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                getattr(cursor, way)()
            timer.join()
            for _ in range(2):
                with pytest.raises(InvalidOperation, match="cancelled or interrupted"):
                    next(cursor)
            cursor.close()
            assert list(cursor) == []
    finally:
        signal.signal(signal.SIGINT, before)


# Several callers


@every_kind
async def test_a_second_caller_of_a_fetching_cursor_is_refused_and_no_document_is_lost(
    kind, collection
):
    """PyMongo sends the query several times, or loses the batch of all getMores but one."""
    cursor = await kind(collection)
    seen, refused = [], 0
    while True:
        callers = [anext(cursor) for _ in range(3)]
        answers = await asyncio.gather(*callers, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, RuntimeError):
                assert "in use by another caller" in str(answer)
                refused += 1
            elif not isinstance(answer, StopAsyncIteration):
                seen.append(answer)
        if any(isinstance(answer, StopAsyncIteration) for answer in answers):
            break
    if isinstance(seen[0], bytes):
        assert len(seen) == len(set(seen)) == 4
    else:
        assert [document["_id"] for document in seen] == list(range(12))
    assert refused > 0


async def test_a_second_caller_of_a_change_stream_is_refused(collection):
    async with await collection.watch(max_await_time_ms=200) as stream:
        answers = await asyncio.gather(
            anext(stream), anext(stream, None), _later(collection), return_exceptions=True
        )
        assert answers[0]["documentKey"] == {"_id": 100}
        assert "in use by another caller" in str(answers[1])
        assert (await anext(stream))["documentKey"] == {"_id": 101}


async def _later(collection):
    await asyncio.sleep(0.1)
    await collection.insert_many([{"_id": 100}, {"_id": 101}])
