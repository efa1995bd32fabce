"""A batch that was asked for ahead is under way when something goes wrong."""

import asyncio
import collections
import functools
import gc
import importlib
import importlib.util
import inspect
import signal
import threading
import time

import pytest
from pymongo import monitoring
from tests.drivers import APP, both_drivers, ferromongo_only, package, patient
from tests.fault.programs import run
from tests.listeners import Recorder

COUNT, BATCH = 23, 5
NUMBERS = list(range(COUNT))
InvalidOperation = package.errors.InvalidOperation
pytestmark = ferromongo_only


@pytest.fixture(autouse=True)
def numbers(client, mongodb_database_name):
    client[mongodb_database_name].n.insert_many([{"_id": n} for n in NUMBERS])


def find(collection, **options):
    return collection.find({}, sort=[("_id", 1)], batch_size=BATCH, **options)


def ids(documents):
    return [document["_id"] for document in documents]


class UnwatchingLoop(asyncio.SelectorEventLoop):
    """Without `add_reader`, as on Windows: calls go to threads."""

    def add_reader(self, *arguments):
        raise NotImplementedError

    add_writer = remove_reader = remove_writer = add_reader


LOOPS = {"asyncio": asyncio.new_event_loop, "unwatching": UnwatchingLoop}
if importlib.util.find_spec("uvloop"):
    LOOPS["uvloop"] = importlib.import_module("uvloop").new_event_loop


def every_loop(body):
    """Make `async def body(...)` a test that runs on each kind of event loop."""

    @functools.wraps(body)
    def test(loop, **fixtures):
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(body(**fixtures))

    names = inspect.signature(body).parameters.values()
    loop = inspect.Parameter("loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([loop, *names])
    del test.__wrapped__  # or pytest would take the test for a coroutine
    return pytest.mark.parametrize("loop", LOOPS)(test)


async def until(driver, condition):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patient(60)
        await driver.sleep(0.01)


def lent(recorder):
    out = recorder.of(monitoring.ConnectionCheckedOutEvent)
    return len(out) - len(recorder.of(monitoring.ConnectionCheckedInEvent))


async def rest_or_none(cursor):
    """What the cursor still has; None if documents were lost and it says so."""
    while True:
        try:
            return ids(await cursor.to_list())
        except (InvalidOperation, RuntimeError) as error:
            if "cancelled or interrupted" in str(error):
                return None
            if "in use by another caller" not in str(error):
                raise
        await asyncio.sleep(0.01)  # a thread gives up soon, not at once


@pytest.mark.parametrize("way", ["dropped", "closed", "rewound", "client closed"])
@both_drivers
async def test_given_up_with_a_batch_under_way(driver, way, proxy, mongodb_database_name):
    recorder = Recorder()
    async with driver.client(proxy.uri(), event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].n
        held = proxy.hold("getMore", reply=True)
        cursor = find(collection).read_ahead()
        assert (await anext(cursor))["_id"] == 0
        assert await driver.blocking(held.arrived.wait, patient(60))
        assert lent(recorder) == 1
        if way == "dropped":
            del cursor
            gc.collect()
        elif way == "closed":
            await cursor.close()
        elif way == "rewound":
            await cursor.rewind()
            assert ids([document async for document in cursor]) == NUMBERS
        else:
            await client.close()
        if way == "client closed":
            # What has come can be read.
            assert ids([await anext(cursor) for _ in range(4)]) == NUMBERS[1:5]
            held.release()
            await cursor.close()
        else:
            await until(driver, lambda: proxy.seen["killCursors"] == 1)
            assert ids(await find(collection).to_list()) == NUMBERS
        held.release()
        await until(driver, lambda: lent(recorder) == 0)
        cut = recorder.commands("getMore")
        assert len({event.request_id for event in cut}) * 2 == len(cut), "each has its end"


@both_drivers
async def test_its_error_is_told_behind_the_batch_before(
    driver, fail, mongodb_uri, mongodb_database_name
):
    for how in ({"errorCode": 2}, {"closeConnection": True}):
        for whole in (True, False):
            async with driver.client(mongodb_uri, appName=APP) as client:
                cursor = find(client[mongodb_database_name].n).read_ahead()
                with fail("getMore", times=1, **how):
                    if whole:
                        with pytest.raises(package.errors.PyMongoError):
                            await cursor.to_list()
                    else:
                        assert ids([await anext(cursor) for _ in range(5)]) == NUMBERS[:5]
                        with pytest.raises(package.errors.PyMongoError):
                            await anext(cursor)
                assert not cursor.alive
                await cursor.rewind()
                assert ids(await cursor.to_list()) == NUMBERS


@both_drivers
async def test_a_call_with_a_timeout_does_not_wait_longer(driver, proxy, mongodb_database_name):
    for way in ("next", "to_list"):
        async with driver.client(proxy.uri()) as client:
            cursor = find(client[mongodb_database_name].n).read_ahead()
            held = proxy.hold("getMore", reply=True)
            assert ids([await anext(cursor) for _ in range(5)]) == NUMBERS[:5]
            with pytest.raises(package.errors.PyMongoError) as caught, package.timeout(0.3):
                await (cursor.next() if way == "next" else cursor.to_list())
            assert caught.value.timeout
            assert not cursor.alive
            held.release()


@every_loop
async def test_to_list_cancelled_at_any_point_skips_nothing(mongodb_uri, mongodb_database_name):
    async with package.AsyncMongoClient(mongodb_uri) as client:
        collection = client[mongodb_database_name].many
        await collection.insert_many([{"_id": n, "text": "x" * 999} for n in range(3000)])
        loud = whole = 0
        for step in range(60):
            cursor = collection.find({}, sort=[("_id", 1)], batch_size=100)
            begun = ids([await anext(cursor) for _ in range(step % 3)])
            task = asyncio.ensure_future(cursor.to_list())
            await asyncio.sleep(0)
            for _ in range(step):
                await asyncio.sleep(0)
            await asyncio.sleep(step * 0.0005)
            task.cancel()
            try:
                assert begun + ids(await task) == list(range(3000))
                whole += 1
                continue
            except asyncio.CancelledError:
                pass
            rest = await rest_or_none(cursor)
            assert rest is None or begun + rest == list(range(3000))
            loud += rest is None
            await cursor.close()
        assert loud + whole > 0
        assert await collection.count_documents({}) == 3000


@every_loop
async def test_a_loop_cancelled_at_any_point_skips_nothing(mongodb_uri, mongodb_database_name):
    recorder = Recorder()
    async with package.AsyncMongoClient(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].n
        for step in range(40):
            cursor = find(collection).read_ahead()
            seen = []

            async def loop(cursor=cursor, seen=seen):
                async for document in cursor:
                    seen.append(document["_id"])
                    await asyncio.sleep(0)

            task = asyncio.ensure_future(loop())
            for _ in range(step):
                await asyncio.sleep(0.0002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            rest = await rest_or_none(cursor)
            assert seen + (rest or []) == (NUMBERS[: len(seen)] if rest is None else NUMBERS)
            await cursor.close()
        while lent(recorder):  # cursors may be closed in the background
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", ["list", "to_list", "for"])
def test_ctrl_c_with_a_batch_under_way(way, proxy, mongodb_database_name):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with package.MongoClient(proxy.uri()) as client:
            cursor = find(client[mongodb_database_name].n).read_ahead()
            next(cursor)
            held = proxy.hold("getMore", skip=1, reply=True)
            main = threading.main_thread().ident

            def press():
                held.arrived.wait(patient(60))
                time.sleep(0.5)
                signal.pthread_kill(main, signal.SIGINT)

            pressing = threading.Thread(target=press)
            pressing.start()
            read = {"list": list, "to_list": type(cursor).to_list, "for": collections.deque}[way]
            with pytest.raises(KeyboardInterrupt):
                read(cursor)
            pressing.join()
            for _ in range(2):
                with pytest.raises(InvalidOperation, match="cancelled or interrupted"):
                    next(cursor)
            held.release()
            cursor.rewind()
            assert ids(cursor) == NUMBERS
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_body_of_the_loop_loses_nothing(proxy, mongodb_database_name):
    with package.MongoClient(proxy.uri()) as client:
        cursor = find(client[mongodb_database_name].n).read_ahead()
        seen = []
        while len(seen) < COUNT:
            try:
                for document in cursor:
                    seen.append(document["_id"])
                    if len(seen) % 3 == 1:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                pass
        assert seen == NUMBERS


@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "unwatching"])
@pytest.mark.parametrize("answered", [False, True])
def test_moved_to_another_event_loop(loop, answered, proxy, mongodb_database_name):
    client = package.AsyncMongoClient(proxy.uri())
    cursor = find(client[mongodb_database_name].n).read_ahead()

    async def begin():
        held = proxy.hold("getMore", reply=True)
        assert (await anext(cursor))["_id"] == 0
        await asyncio.to_thread(held.arrived.wait, patient(60))
        if answered:
            held.release()
            await asyncio.sleep(0.1)

    async def go_on():
        assert ids([await anext(cursor) for _ in range(4)]) == NUMBERS[1:5]
        with pytest.raises(InvalidOperation, match="another event loop"):
            await anext(cursor)
        with pytest.raises(InvalidOperation):
            await cursor.to_list()
        while not proxy.seen["killCursors"]:
            await asyncio.sleep(0.01)
        await cursor.rewind()
        assert ids(await cursor.to_list()) == NUMBERS
        await client.close()

    for part in (begin, go_on):
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(asyncio.wait_for(part(), patient(60)))


@every_loop
async def test_loops_and_lists(mongodb_uri, mongodb_database_name):
    async with package.AsyncMongoClient(mongodb_uri) as client:
        collection = client[mongodb_database_name].n
        seen = []
        async for document in find(collection).read_ahead():
            seen.append(document["_id"])
            await asyncio.sleep(0.002)
            await collection.find_one(document)
        assert seen == NUMBERS
        lists = await asyncio.gather(*[find(collection).to_list() for _ in range(20)])
        assert [ids(one) for one in lists] == [NUMBERS] * 20


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_fork_with_a_batch_under_way(kind, mongodb_uri, mongodb_database_name):
    report = run("forked_ahead", kind, mongodb_uri, mongodb_database_name)
    assert report["parent"] == NUMBERS
    assert report["child"]["seen"] == NUMBERS[:5]
    assert "in another process" in report["child"]["error"]
    assert report["child"]["again"] == NUMBERS
