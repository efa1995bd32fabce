"""`atomic` while things go wrong: conflicts, cancellation and Ctrl-C at every step, failovers."""

import asyncio
import contextlib
import random
import signal
import threading
import time

import pytest
from pymongo.errors import AutoReconnect, ConnectionFailure, OperationFailure, PyMongoError
from tests.drivers import APP, AsyncDriver, both_drivers, eventually, ferromongo_only, package
from tests.fault.programs import run

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction import atomic, current_attempt, on_commit

WORKERS = 16
EACH = 5
UNKNOWN = "UnknownTransactionCommitResult"


def conflicting(driver, collection, number, kept):
    """Add one to two of four documents, and keep what was done: once, whatever happens."""

    async def work():
        first, second = random.sample(range(4), 2)
        await collection.update_one({"_id": first}, {"$inc": {"n": 1}})
        await collection.update_one({"_id": second}, {"$inc": {"n": 1}})
        await collection.insert_one({"work": number})
        on_commit(lambda: kept.append(number))

    return work


@both_drivers
async def test_conflicting_transactions_are_applied_once(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n, "n": 0} for n in range(4)])
        kept, attempts = [], []

        async def worker(worker):
            for step in range(EACH):
                work = conflicting(driver, collection, f"{worker}-{step}", kept)
                report = await client.run_atomic(work, report=True)
                attempts.extend(report.attempts)

        jobs = [driver.start(worker, number) for number in range(WORKERS)]
        for job in jobs:
            await job.result(150)
        done = [doc["work"] async for doc in collection.find({"work": {"$exists": True}})]
        assert len(done) == len(set(done)) == WORKERS * EACH
        assert sorted(kept) == sorted(done)
        counts = [doc["n"] async for doc in collection.find({"_id": {"$lt": 4}})]
        assert sum(counts) == 2 * WORKERS * EACH
        assert all(error.has_error_label("TransientTransactionError") for error in attempts)


class Steps:
    """Awaits a coroutine, and cancels its task when it waits for the n-th time."""

    def __init__(self, coroutine, cancel_at):
        self._coroutine, self._left = coroutine, cancel_at

    def __await__(self):
        step, value = self._coroutine.send, None
        while True:
            try:
                waiting = step(value)
            except StopIteration as end:
                return end.value
            self._left -= 1
            if self._left == 0:
                asyncio.current_task().cancel()
            try:
                step, value = self._coroutine.send, (yield waiting)
            except BaseException as error:
                step, value = self._coroutine.throw, error


async def stepped(coroutine, cancel_at):
    return await Steps(coroutine, cancel_at)


@pytest.mark.parametrize("form", ["with", "decorator"])
async def test_cancellation_at_every_step(form, async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    await collection.insert_one({"_id": 0, "n": 0})
    hooks = []

    async def work(number):
        await collection.insert_one({"_id": number})
        await asyncio.gather(
            collection.update_one({"_id": 0}, {"$inc": {"n": 1}}),
            collection.find_one({"_id": number}),
        )
        assert [doc async for doc in collection.find({"_id": number})] == [{"_id": number}]
        on_commit(lambda: hooks.append(number))

    async def block(number):
        async with atomic(async_client):
            await work(number)

    for number in range(1, 500):
        call = block(number) if form == "with" else atomic(async_client)(work)(number)
        cancelled = False
        try:
            await asyncio.create_task(stepped(call, number))
        except asyncio.CancelledError:
            cancelled = True
        assert current_attempt() == 0
        # No lock is held: this waits for a transaction that is still being aborted, and no longer.
        await asyncio.wait_for(
            collection.update_one({"_id": 0}, {"$set": {"round": number}}), timeout=30
        )
        kept = await collection.find_one({"_id": number}) is not None
        assert kept or cancelled
        assert number not in hooks or kept
        if not cancelled:
            assert hooks[-1] == number
            break
    else:
        raise AssertionError("it never came to its end")
    assert number >= 4
    kept = await collection.count_documents({"_id": {"$gt": 0}})
    assert (await collection.find_one({"_id": 0}))["n"] == kept


@pytest.mark.parametrize("form", ["with", "call", "async"])
def test_ctrl_c_at_every_line(form, mongodb_uri, mongodb_database_name):
    report = run("interrupted_atomic", form, mongodb_uri, mongodb_database_name)
    assert report["rounds"] > 50
    assert report["wrong"] == []


async def test_a_cancelled_commit_is_not_reported_as_anything(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        called = []

        @atomic(client)
        async def work():
            await collection.insert_one({"_id": 1})
            on_commit(lambda: called.append(1))

        proxy.stall("commitTransaction")
        task = asyncio.create_task(work())
        await eventually(AsyncDriver(), lambda: proxy.seen["commitTransaction"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert called == []
        await collection.insert_one({"_id": 2})


async def test_a_statement_that_is_cut_dooms_the_transaction(proxy, mongodb_database_name):
    """The server may or may not have run it: half of the body must not be committed."""
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0, "n": 0})

        @atomic(client)
        async def work():
            await collection.insert_one({"_id": current_attempt()})
            proxy.stall("update")
            update = asyncio.create_task(collection.update_one({"_id": 0}, {"$inc": {"n": 1}}))
            await eventually(AsyncDriver(), lambda: proxy.seen["update"] == 1)
            update.cancel()
            with pytest.raises(asyncio.CancelledError):
                await update

        with pytest.raises(PyMongoError, match="cancelled or interrupted"):
            await work()
        assert await collection.count_documents({}) == 1


@both_drivers
async def test_a_connection_that_is_cut_runs_the_function_again(
    driver, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0, "n": 0})
        attempts = []

        async def work():
            attempts.append(current_attempt())
            await collection.insert_one({"_id": len(attempts)})
            if len(attempts) == 1:
                proxy.cut("update", after=0)
            await collection.update_one({"_id": 0}, {"$inc": {"n": 1}})

        report = await client.run_atomic(work, report=True)
        assert attempts == [1, 2]
        assert isinstance(report.attempts[0], AutoReconnect)
        assert (await collection.find_one({"_id": 0}))["n"] == 1
        # The answer of a commit is lost: the commit is sent again, not the statements.
        proxy.cut("commitTransaction", after=0)
        await client.run_atomic(work)
        assert attempts == [1, 2, 1]
        assert (await collection.find_one({"_id": 0}))["n"] == 2


@pytest.mark.timeout(400)
@both_drivers
async def test_primaries_that_are_lost(driver, replica_set, mongodb_database_name):
    async with driver.client(replica_set.uri, w="majority", appName=APP) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n, "n": 0} for n in range(4)])
        stopped, kept, unknown, failed = threading.Event(), [], [], []

        async def worker(worker):
            step = 0
            while not stopped.is_set():
                step += 1
                number = f"{worker}-{step}"
                try:
                    await client.run_atomic(conflicting(driver, collection, number, kept))
                except (ConnectionFailure, OperationFailure) as error:
                    (unknown if error.has_error_label(UNKNOWN) else failed).append(number)

        jobs = [driver.start(worker, number) for number in range(4)]
        for misfortune in (replica_set.step_down, lambda: replica_set.kill(replica_set.primary)):
            enough = len(kept) + 10
            await eventually(driver, lambda: len(kept) >= enough, timeout=90)  # noqa: B023
            await driver.blocking(misfortune)
        enough = len(kept) + 10
        await eventually(driver, lambda: len(kept) >= enough, timeout=90)
        stopped.set()
        for job in jobs:
            await job.result(150)
        await driver.blocking(replica_set.recover)
        done = [doc["work"] async for doc in collection.find({"work": {"$exists": True}})]
        assert len(done) == len(set(done))
        assert set(kept) <= set(done) <= {*kept, *unknown}
        assert not set(done) & set(failed)
        counts = [doc["n"] async for doc in collection.find({"_id": {"$lt": 4}})]
        assert sum(counts) == 2 * len(done)


def test_a_signal_handler_inside_an_operation_does_not_wait_for_it(proxy, mongodb_database_name):
    """It runs on top of the operation, which would never go on."""
    errors = []

    class Interrupted(Exception):
        pass

    def handle(number, frame):
        try:
            collection.insert_one({"_id": "nested"})
        except package.errors.InvalidOperation as error:
            errors.append(str(error))
        raise Interrupted

    def interrupt():
        while not proxy.seen["find"]:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with package.MongoClient(proxy.uri()) as client:
            collection = client[mongodb_database_name].c
            proxy.stall("find")
            thread = threading.Thread(target=interrupt, daemon=True)
            thread.start()
            with contextlib.suppress(Interrupted), atomic(client):
                collection.insert_one({"_id": 1})
                collection.find_one()
                raise AssertionError("it was not interrupted")
            thread.join()
            assert list(collection.find()) == []
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(errors) == 1
    assert "in the middle of another one" in errors[0]


def test_a_forked_child_is_not_part_of_the_transaction(mongodb_uri, mongodb_database_name):
    assert run("forked_atomic", mongodb_uri, mongodb_database_name) == [
        {"_id": "parent 1"},
        {"_id": "parent 2"},
    ]
