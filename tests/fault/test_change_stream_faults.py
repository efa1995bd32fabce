"""Change streams over failovers and bad lines: every change once, in its order."""

import asyncio
import os
import signal
import threading

import pytest
from pymongo.errors import AutoReconnect
from tests.drivers import both_drivers, eventually, ferromongo_only, package, wait_until


@both_drivers
async def test_failovers_lose_and_repeat_nothing(driver, replica_set, mongodb_database_name):
    async with driver.client(replica_set.uri, w="majority") as client:
        collection = await client[mongodb_database_name].create_collection("c")
        async with await collection.watch(batch_size=5, max_await_time_ms=200) as stream:
            acknowledged, failed, seen, stopped, written = [], [], [], [], []

            async def write():
                number = 0
                while not stopped:
                    number += 1
                    try:
                        await collection.insert_one({"_id": number})
                        acknowledged.append(number)
                    except AutoReconnect:
                        failed.append(number)

            async def read():
                while not written or seen[-1] < acknowledged[-1]:
                    change = await stream.try_next()
                    if change is not None:
                        seen.append(change["documentKey"]["_id"])

            writing, reading = driver.start(write), driver.start(read)

            async def more():
                count = len(seen)
                await eventually(driver, lambda: len(seen) > count + 20, timeout=30)

            await more()
            await driver.blocking(replica_set.step_down)
            await more()
            await driver.blocking(lambda: replica_set.kill(replica_set.primary))
            await more()
            stopped.append(True)
            await writing.result()
            written.append(True)
            await reading.result()
        assert seen == sorted(set(seen))
        assert set(acknowledged) <= set(seen) <= {*acknowledged, *failed}
        assert len(failed) <= 2


@both_drivers
async def test_answers_that_are_cut_are_asked_for_again(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(), w="majority") as client:
        collection = await client[mongodb_database_name].create_collection("c")
        async with await collection.watch(batch_size=4) as stream:
            await collection.insert_many([{"_id": n, "s": "x" * 1000} for n in range(20)])
            seen = []
            for after in (0, 10, 2000):
                proxy.cut("getMore", after=after)
                seen += [(await stream.next())["documentKey"]["_id"] for _ in range(5)]
            assert seen == list(range(15))
            assert proxy.seen["aggregate"] == 4


@ferromongo_only
async def test_a_cancelled_answer_is_asked_for_again(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri(), w="majority") as client:
        collection = await client[mongodb_database_name].create_collection("c")
        async with await collection.watch(batch_size=2) as stream:
            await collection.insert_many([{"_id": n} for n in range(6)])
            seen = [(await stream.next())["documentKey"]["_id"] for _ in range(2)]
            for command in ("getMore", "aggregate"):
                proxy.stall(command)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(stream.next(), 0.3)
                assert stream.alive
            seen += [(await stream.next())["documentKey"]["_id"] for _ in range(4)]
        assert seen == list(range(6))


@pytest.fixture
def interruptible():
    """As in a terminal: tests that run in the background may have inherited that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@ferromongo_only
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_a_stream_usable(mongodb_uri, mongodb_database_name):
    with package.MongoClient(mongodb_uri, w="majority") as client:
        collection = client[mongodb_database_name].create_collection("c")
        with collection.watch() as stream:
            collection.insert_one({"_id": 1})
            assert stream.next()["documentKey"] == {"_id": 1}
            main = threading.main_thread().ident
            timer = threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                stream.next()
            timer.join()
            collection.insert_one({"_id": 2})
            assert stream.next()["documentKey"] == {"_id": 2}


@ferromongo_only  # PyMongo's clients are not to be used in a child
def test_a_forked_child_goes_on_by_itself(mongodb_uri, mongodb_database_name):
    """It has connections of its own, and the parent's stream is not hurt."""
    with package.MongoClient(mongodb_uri, w="majority") as client:
        collection = client[mongodb_database_name].create_collection("c")
        with collection.watch() as stream:
            collection.insert_one({"_id": 1})
            assert stream.next()["documentKey"] == {"_id": 1}
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    with collection.watch(resume_after=stream.resume_token) as own:
                        collection.insert_one({"_id": 2})
                        status = 0 if own.next()["documentKey"] == {"_id": 2} else 2
                finally:
                    os._exit(status)
            ended = {}
            wait_until(lambda: ended.update([os.waitpid(child, os.WNOHANG)]) or child in ended)
            assert os.waitstatus_to_exitcode(ended[child]) == 0
            assert stream.next()["documentKey"] == {"_id": 2}
