"""Change streams over failovers and bad lines: every change once, in its order."""

import asyncio
import os
import signal
import threading
import time

import pytest
from tests.drivers import both_drivers, ferromongo_only, package


@both_drivers
async def test_failovers_lose_and_repeat_nothing(driver, replica_set, mongodb_database_name):
    async with driver.client(replica_set.uri, w="majority") as client:
        collection = await client[mongodb_database_name].create_collection("c")
        async with await collection.watch(batch_size=5) as stream:
            written, seen, stopped = [], [], []

            async def write():
                while not stopped:
                    written.append(len(written))
                    await collection.insert_one({"_id": written[-1]})

            async def read(upto):
                while not seen or seen[-1] < upto:
                    seen.append((await stream.next())["documentKey"]["_id"])

            writing = driver.start(write)
            await read(20)
            await driver.blocking(replica_set.step_down)
            await read(seen[-1] + 20)
            await driver.blocking(
                replica_set.kill, await driver.blocking(lambda: replica_set.primary)
            )
            await read(seen[-1] + 20)
            stopped.append(True)
            await writing.result()
            await read(written[-1])
        assert seen == written


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


@ferromongo_only
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
            deadline = time.monotonic() + 30
            while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert os.waitstatus_to_exitcode(done[1]) == 0
            assert stream.next()["documentKey"] == {"_id": 2}
