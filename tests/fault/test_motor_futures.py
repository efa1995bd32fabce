"""The Futures of Motor's API: cancelled, on several loops, in other threads, with listeners."""

import asyncio
import contextvars
import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest
import uvloop
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError
from pymongo.monitoring import CommandListener
from tests.drivers import AsyncDriver, eventually, ferromongo_only, wait_until

import ferromongo
from ferromongo.motor_asyncio import AsyncIOMotorClient

pytestmark = ferromongo_only
driver = AsyncDriver()
current = contextvars.ContextVar("current", default=None)


class Blind(asyncio.SelectorEventLoop):
    """Without `add_reader`, as on Windows: calls go to threads."""

    def add_reader(self, *arguments):
        raise NotImplementedError

    add_writer = remove_reader = remove_writer = add_reader


LOOPS = pytest.mark.parametrize(
    "loop_factory",
    [asyncio.new_event_loop, uvloop.new_event_loop, Blind],
    ids=["asyncio", "uvloop", "blind"],
)


async def test_a_cancelled_future_closes_its_connection(proxy, mongodb_database_name):
    client = AsyncIOMotorClient(proxy.uri(maxPoolSize=1))
    collection = client[mongodb_database_name].c
    await collection.insert_one({"_id": 1})
    proxy.stall("find")
    future = collection.find_one()
    await eventually(driver, lambda: proxy.seen["find"] == 1)
    (stalled,) = proxy.links_of("find")
    assert future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await future
    await eventually(driver, lambda: not stalled.open)
    assert await asyncio.wait_for(collection.find_one(), 30) == {"_id": 1}
    client.close()


async def test_wait_for_ends_an_operation(proxy, mongodb_database_name):
    client = AsyncIOMotorClient(proxy.uri(maxPoolSize=1))
    collection = client[mongodb_database_name].c
    await collection.insert_one({"_id": 1})
    proxy.stall("find")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(collection.find_one(), 0.2)
    proxy.stall("find")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await collection.find().to_list(None)
    assert await asyncio.wait_for(collection.find_one(), 30) == {"_id": 1}
    client.close()


async def test_a_cancelled_wait_for_a_connection_passes_its_turn_on(proxy, mongodb_database_name):
    client = AsyncIOMotorClient(proxy.uri(maxPoolSize=1))
    collection = client[mongodb_database_name].c
    await collection.insert_one({"_id": 1})
    slow = collection.find_one({"$where": "sleep(300) || true"})
    await eventually(driver, lambda: proxy.seen["find"] == 1)
    waiting = [collection.find_one() for _ in range(10)]
    for future in waiting[:-1]:
        future.cancel()
    assert await slow == {"_id": 1}
    assert await asyncio.wait_for(waiting[-1], 30) == {"_id": 1}
    assert all(future.cancelled() for future in waiting[:-1])
    client.close()


@LOOPS
def test_futures_cancelled_at_random_moments(loop_factory, proxy, mongodb_database_name):
    choose = random.Random(0)

    async def main():
        client = AsyncIOMotorClient(proxy.uri(maxPoolSize=5))
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(20)])
        futures = {n: collection.find_one({"_id": n % 20}) for n in range(200)}
        chosen = choose.sample(sorted(futures), 100)
        for n in chosen:
            await asyncio.sleep(choose.random() * 0.004)
            futures[n].cancel()
        results = await asyncio.wait_for(
            asyncio.gather(*futures.values(), return_exceptions=True), 60
        )
        for n, result in enumerate(results):
            assert result == {"_id": n % 20} or isinstance(result, asyncio.CancelledError)
        again = await asyncio.gather(*(collection.find_one({"_id": n % 20}) for n in range(50)))
        assert again == [{"_id": n % 20} for n in range(50)]
        client.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


@LOOPS
def test_operations_begin_outside_of_a_running_loop(
    loop_factory, mongodb_uri, mongodb_database_name
):
    loop = loop_factory()
    client = AsyncIOMotorClient(mongodb_uri, io_loop=loop)
    collection = client[mongodb_database_name].c
    assert client.get_io_loop() is collection.get_io_loop() is loop
    futures = [collection.insert_one({"_id": n}) for n in range(5)]
    inserted = [loop.run_until_complete(future).inserted_id for future in futures]
    assert inserted == [0, 1, 2, 3, 4]
    assert loop.run_until_complete(collection.options()) == {}
    assert len(loop.run_until_complete(collection.find().to_list(None))) == 5
    assert len(loop.run_until_complete(collection.aggregate([]).to_list(None))) == 5
    client.close()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        collection.find_one()
    with pytest.raises(RuntimeError, match="closed"):
        collection.options()


@LOOPS
def test_operations_begin_in_another_thread(loop_factory, mongodb_uri, mongodb_database_name):
    loop = loop_factory()
    runs = threading.Thread(target=loop.run_forever)
    runs.start()
    client = AsyncIOMotorClient(mongodb_uri, io_loop=loop)
    collection = client[mongodb_database_name].c
    seen = []
    done = threading.Event()

    def note(future):
        seen.append((future.result(), threading.current_thread()))
        if len(seen) == 2:
            done.set()

    for future in (collection.find_one(), collection.options()):
        loop.call_soon_threadsafe(future.add_done_callback, note)
    assert done.wait(30)
    assert seen == [(None, runs), ({}, runs)] or seen == [({}, runs), (None, runs)]
    loop.call_soon_threadsafe(loop.stop)
    runs.join()
    client.close()
    loop.close()


def test_a_client_stays_with_its_first_loop(mongodb_uri, mongodb_database_name):
    client = AsyncIOMotorClient(mongodb_uri)
    collection = client[mongodb_database_name].c

    async def main():
        await collection.find_one()
        return client.get_io_loop() is asyncio.get_running_loop()

    assert asyncio.run(main())
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        asyncio.run(main())
    # What programs do about it.
    client.get_io_loop = asyncio.get_running_loop

    async def other():
        await collection.find_one()
        await collection.options()
        assert [d async for d in collection.aggregate([])] == []

    asyncio.run(other())
    asyncio.run(other())
    client.close()


class Recorder(CommandListener):
    def __init__(self):
        self.seen = []

    def started(self, event):
        self.seen.append((event.command_name, current.get()))

    def succeeded(self, event):
        self.seen.append((event.command_name, current.get()))

    failed = succeeded


@LOOPS
def test_listeners_and_decoders_see_the_callers_context(
    loop_factory, mongodb_uri, mongodb_database_name
):
    heard, decoded = Recorder(), []

    class Decoder(TypeDecoder):
        bson_type = str

        def transform_bson(self, value):
            decoded.append((value, current.get()))
            return value

    options = CodecOptions(type_registry=TypeRegistry([Decoder()]))

    async def main():
        client = AsyncIOMotorClient(mongodb_uri, event_listeners=[heard], maxPoolSize=2)
        collection = client[mongodb_database_name].get_collection("c", codec_options=options)
        await collection.insert_many([{"_id": f"task{n}"} for n in range(10)])
        heard.seen.clear()
        futures = []
        for n in range(10):
            current.set(f"task{n}")
            futures.append(collection.find_one({"_id": f"task{n}"}))
        current.set("main")
        for future in futures:
            await future
        assert current.get() == "main"
        of_finds = list(heard.seen)
        client.close()
        return of_finds

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        of_finds = runner.run(main())
    assert len(decoded) == 10
    assert all(value == name for value, name in decoded)
    assert sorted(of_finds) == sorted(("find", f"task{n}") for n in range(10) for _ in "se")


async def test_a_listener_has_heard_all_when_the_future_is_done(mongodb_uri):
    heard = Recorder()
    client = AsyncIOMotorClient(mongodb_uri, event_listeners=[heard])
    await client.admin.command("ping")
    assert [name for name, _ in heard.seen] == ["ping", "ping"]
    future = client.admin.command("ping")
    future.add_done_callback(lambda _: heard.seen.append("done"))
    await future
    assert heard.seen[-1] == "done"
    client.close()


async def test_timeouts_of_the_caller_hold(proxy, mongodb_database_name):
    client = AsyncIOMotorClient(proxy.uri())
    collection = client[mongodb_database_name].c
    await collection.find_one()
    proxy.stall("find")
    with ferromongo.timeout(0.3):
        future = collection.find_one()
    with pytest.raises(AutoReconnect):
        await asyncio.wait_for(future, 20)
    client.close()


async def test_unreachable_servers_are_reported():
    client = AsyncIOMotorClient("localhost:1", serverSelectionTimeoutMS=100)
    future = client.x.y.find_one()
    assert not future.done()
    with pytest.raises(ServerSelectionTimeoutError):
        await future
    client.close()


async def test_futures_and_what_they_hold_are_freed(mongodb_uri, mongodb_database_name):
    client = AsyncIOMotorClient(mongodb_uri)
    collection = client[mongodb_database_name].c
    await collection.insert_one({"_id": 1})
    gc.collect()

    class Value:
        pass

    seen = []
    for _ in range(20):
        value = Value()
        current.set(value)
        seen.append(weakref.ref(value))
        await collection.find_one()
        collection.find_one().cancel()
        await collection.find().to_list(1)
    current.set(None)
    del value
    await asyncio.sleep(0.05)
    gc.collect()
    assert not [one for one in seen if one() is not None]
    client.close()


def test_a_loop_that_ends_in_mid_operation_leaves_nothing(proxy, mongodb_database_name):
    client = AsyncIOMotorClient(proxy.uri())
    collection = client[mongodb_database_name].c
    client.get_io_loop = asyncio.get_running_loop
    kept = []

    async def give_up():
        await collection.find_one()
        proxy.stall("find")
        future = collection.find_one()
        kept.append(weakref.ref(future))
        await asyncio.sleep(0.1)
        assert not future.done()

    async def go_on():
        await collection.find_one()

    for _ in range(3):
        asyncio.run(give_up())
    asyncio.run(go_on())  # what is closed is tidied up when another loop is used
    wait_until(lambda: gc.collect() >= 0 and not any(one() for one in kept))
    client.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_in_mid_operation_ends_it_in_the_child_only(proxy, mongodb_database_name):
    async def main():
        client = AsyncIOMotorClient(proxy.uri())
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        slow = collection.find_one({"$where": "sleep(500) || true"})
        await eventually(driver, lambda: proxy.seen["find"] == 1)
        if os.fork() == 0:
            code = 1
            try:
                try:
                    await slow
                except AutoReconnect:
                    code = 0
            finally:
                os._exit(code)
        assert await slow == {"_id": 1}
        _, status = os.wait()
        assert os.waitstatus_to_exitcode(status) == 0
        client.close()

    asyncio.run(main())


async def test_closing_a_client_ends_its_operations(proxy, mongodb_database_name):
    client = AsyncIOMotorClient(proxy.uri())
    collection = client[mongodb_database_name].c
    await collection.find_one()
    proxy.stall("find")
    future = collection.find_one()
    await eventually(driver, lambda: proxy.seen["find"] == 2)
    client.close()
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await future


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_the_loop(interrupt, mongodb_uri):
    class Ends(CommandListener):
        def started(self, event):
            raise interrupt

        def succeeded(self, event):
            pass

        failed = succeeded

    async def main():
        client = AsyncIOMotorClient(mongodb_uri, event_listeners=[Ends()])
        try:
            await client.x.y.find_one()
        finally:
            client.close()

    with pytest.raises(interrupt):
        asyncio.run(main())


def test_the_interpreter_exits_while_calls_are_on_their_way(mongodb_uri, mongodb_database_name):
    """In a daemon thread whose results are Python objects, with a listener that takes its time."""
    program = """
    import asyncio, sys, threading, time
    from bson import SON
    from pymongo.monitoring import CommandListener
    from ferromongo.motor_asyncio import AsyncIOMotorClient

    class Slow(CommandListener):
        started = succeeded = failed = lambda self, event: time.sleep(0.001)

    steps = []

    async def again_and_again(collection):
        while True:
            await collection.insert_one({})
            await collection.find({}).to_list(None)
            steps.append(await collection.find_one())

    async def main():
        client = AsyncIOMotorClient(sys.argv[1], document_class=SON, event_listeners=[Slow()])
        collection = client[sys.argv[2]].c
        await asyncio.gather(*[again_and_again(collection) for _ in range(8)])

    threading.Thread(target=asyncio.run, args=[main()], daemon=True).start()
    while len(steps) < 16:
        time.sleep(0.01)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    done = subprocess.run(
        [*command, mongodb_uri, mongodb_database_name], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
