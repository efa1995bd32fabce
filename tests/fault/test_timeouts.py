"""`timeoutMS` and `timeout()`: one limit for everything that a call waits for."""

import asyncio
import contextlib
import socket

import pytest
from pymongo.errors import (
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)
from tests.drivers import APP, both_drivers, eventually, ferromongo_only, package, takes
from tests.fault.peer import Peer, delayed

timeout = package.timeout

TIMEOUTS = (ExecutionTimeout, NetworkTimeout, ServerSelectionTimeoutError, WaitQueueTimeoutError)


@contextlib.contextmanager
def times_out(kind, at_least=0.25, at_most=4):
    with takes(at_least, at_most), pytest.raises(kind) as raised:
        yield raised
    assert raised.value.timeout


@pytest.fixture(params=["of the call", "of the client"])
def limit(request):
    """Both ways to say 0.3 seconds: a context for calls, and options for the client."""
    if request.param == "of the call":
        return lambda: timeout(0.3), {}
    return contextlib.nullcontext, {"timeoutMS": 300}


# Each kind of wait.


@both_drivers
async def test_no_server(driver, limit):
    within, options = limit
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with driver.client("127.0.0.1", port, **options) as client:
        with times_out(ServerSelectionTimeoutError), within():
            await client.admin.command("ping")


@both_drivers
async def test_a_server_that_never_answers(driver, proxy):
    proxy.freeze()
    async with driver.client(proxy.uri()) as client:
        with times_out(ServerSelectionTimeoutError), timeout(0.3):
            await client.db.c.find_one()


@both_drivers
async def test_errors_name_the_timeouts_in_force(driver):
    def named(raised):
        return str(raised.value).partition("(configured timeouts: ")[2].partition(")")[0]

    with Peer() as peer:
        options = {"socketTimeoutMS": 500, "connectTimeoutMS": 1500, "retryReads": False}
        async with driver.client(peer.uri(**options)) as client:
            await client.admin.command("ping")
            peer.on("find", delayed(2))
            with pytest.raises(NetworkTimeout) as raised:
                await client.db.c.find_one()
            assert named(raised) == "socketTimeoutMS: 500.0ms, connectTimeoutMS: 1500.0ms"
            with pytest.raises(NetworkTimeout) as raised, timeout(0.25):
                await client.db.c.find_one()
            assert named(raised) == "timeoutMS: 250.0ms, connectTimeoutMS: 1500.0ms"
            peer.on("find", {"ok": 0, "code": 50, "errmsg": "too slow"})
            with pytest.raises(ExecutionTimeout) as raised:
                await client.db.c.find_one()
            assert named(raised) == "socketTimeoutMS: 500.0ms, connectTimeoutMS: 1500.0ms"
    # Now that nobody listens there; the sockets of monitors have connectTimeoutMS only.
    options = {"connectTimeoutMS": 1500, "serverSelectionTimeoutMS": 300}
    async with driver.client(peer.uri(**options)) as client:
        with pytest.raises(ServerSelectionTimeoutError) as raised:
            await client.admin.command("ping")
        assert named(raised) == "socketTimeoutMS: 1500.0ms, connectTimeoutMS: 1500.0ms"


@both_drivers
async def test_a_full_pool(driver, proxy, mongodb_database_name):
    # The client's own limit of this wait counts no longer.
    options = {"maxPoolSize": 1, "waitQueueTimeoutMS": 20}
    async with driver.client(proxy.uri(**options)) as client:
        collection = client[mongodb_database_name].c

        async def slow():
            await collection.find_one({"$where": "sleep(1500) || true"})

        await collection.insert_one({})
        job = driver.start(slow)
        await eventually(driver, lambda: proxy.seen["find"] == 1)
        with times_out(WaitQueueTimeoutError), timeout(0.3):
            await collection.insert_one({})
        await job.result()
        assert proxy.seen["insert"] == 1


@both_drivers
async def test_a_new_connection_that_is_not_answered(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(retryReads="false")) as client:
        collection = client[mongodb_database_name].c
        proxy.stall("find")

        async def slow():
            with timeout(1):
                await collection.find_one()

        await client.admin.command("ping")
        job = driver.start(slow)
        await eventually(driver, lambda: proxy.seen["find"] == 1)
        proxy.freeze()
        with times_out((NetworkTimeout, ServerSelectionTimeoutError)), timeout(0.3):
            await collection.find_one()
        proxy.thaw()
        with pytest.raises(PyMongoError):
            await job.result()


@both_drivers
async def test_a_slow_answer(driver, limit, proxy, mongodb_database_name):
    within, options = limit
    async with driver.client(proxy.uri(**options)) as client:
        collection = client[mongodb_database_name].c

        async def insert():
            await collection.insert_one({})

        for command, call in [("find", collection.find_one), ("insert", insert)]:
            with timeout(20):
                await client.admin.command("ping")  # connected
            proxy.stall(command, times=9)
            with times_out(NetworkTimeout), within():
                await call()


@both_drivers
async def test_a_slow_query_is_ended_by_the_server(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{} for _ in range(100)])
        # The server's clock and the client's run against each other.
        with times_out((ExecutionTimeout, NetworkTimeout), at_least=0.2), timeout(0.3):
            await collection.find_one({"$where": "sleep(50)"})


@both_drivers
async def test_a_slow_get_more(driver, limit, proxy, mongodb_database_name):
    within, options = limit
    async with driver.client(proxy.uri(**options)) as client:
        collection = client[mongodb_database_name].c
        with timeout(20):
            await collection.insert_many([{"_id": n} for n in range(5)])
        cursor = collection.find(batch_size=2)
        with timeout(20):
            await cursor.next()
            await cursor.next()
        proxy.stall("getMore", times=9)
        with times_out(NetworkTimeout), within():
            await cursor.next()
        assert not cursor.alive
    assert proxy.seen["getMore"] == 1


@both_drivers
async def test_a_slow_commit(driver, limit, proxy, mongodb_database_name):
    within, options = limit
    async with driver.client(proxy.uri(**options)) as client:
        collection = client[mongodb_database_name].c
        with timeout(20):
            await collection.insert_one({})
        async with client.start_session() as session:
            await session.start_transaction()
            with timeout(20):
                await collection.insert_one({}, session=session)
            proxy.stall("commitTransaction", times=9)
            with times_out(NetworkTimeout) as raised, within():
                await session.commit_transaction()
            assert raised.value.has_error_label("UnknownTransactionCommitResult")


@both_drivers
async def test_what_cannot_fail_is_bounded_too(driver, limit, proxy, mongodb_database_name):
    """close() and end_session() tell the server something; they do not wait longer for that."""
    within, options = limit
    async with driver.client(proxy.uri(**options)) as client:
        collection = client[mongodb_database_name].c
        with timeout(20):
            await collection.insert_many([{"_id": n} for n in range(5)])
        session = client.start_session()
        await session.start_transaction()
        with timeout(20):
            await collection.insert_one({}, session=session)
        proxy.stall("abortTransaction", times=9)
        with takes(0.2, 4), within():
            await session.end_session()
        cursor = collection.find(batch_size=2)
        with timeout(20):
            await cursor.next()
        if options:
            return  # PyMongo closes cursors without the client's limit
        proxy.stall("killCursors", times=1)
        with takes(0.2, 4), within():
            await cursor.close()


@both_drivers
async def test_a_write_concern_whose_time_was_up(driver, fail, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(appName=APP, timeoutMS=10000)) as client:
        failure = {"writeConcernError": {"code": 50, "errmsg": "operation exceeded time limit"}}
        with fail("insert", times=1, **failure), times_out(WriteConcernError, 0):
            await client[mongodb_database_name].c.insert_one({})


# Which limit counts.


@both_drivers
async def test_the_earliest_of_nested_limits(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(timeoutMS=20000)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        proxy.stall("find", times=9)
        for outer, inner in [(0.3, 20), (20, 0.3), (0.3, None)]:
            with times_out(TIMEOUTS), timeout(outer), timeout(inner):
                await collection.find_one()


@both_drivers
async def test_a_limit_that_is_kept_changes_nothing(driver, fail, proxy, mongodb_database_name):
    # 0 is no limit, also for a client that has one.
    for options, within in [
        ({"timeoutMS": 10000, "socketTimeoutMS": 50}, contextlib.nullcontext),
        ({"timeoutMS": 50}, lambda: timeout(10)),
        ({"timeoutMS": 50}, lambda: timeout(0)),
        ({"timeoutMS": 0}, contextlib.nullcontext),
    ]:
        async with driver.client(proxy.uri(appName=APP, **options)) as client:
            collection = client[mongodb_database_name].c
            with within():
                await collection.insert_many([{} for _ in range(4)])
                with fail("find", times=1, blockConnection=True, blockTimeMS=150):
                    assert await collection.find_one() is not None
                assert len(await collection.find(batch_size=2).to_list()) == 4
                await collection.delete_many({})


@both_drivers
async def test_a_limit_begins_anew_with_each_batch_but_once_for_a_list(
    driver, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri(timeoutMS=900)) as client:
        collection = client[mongodb_database_name].c
        with timeout(20):
            await collection.insert_many([{"_id": n} for n in range(8)])
        # On the way: the server's own time counts for all batches of a cursor.
        proxy.delay = 0.25
        assert len([document async for document in collection.find(batch_size=2)]) == 8
        with times_out(TIMEOUTS):
            await collection.find(batch_size=2).to_list()
        with times_out(TIMEOUTS), timeout(0.9):
            [document async for document in collection.find(batch_size=2)]


@pytest.mark.filterwarnings("error")
async def test_tasks_have_limits_of_their_own(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})

        async def find(seconds):
            with timeout(seconds):
                return await collection.find_one({"$where": "sleep(400) || true"})

        results = await asyncio.gather(*map(find, [0.1, 20, None]), return_exceptions=True)
        assert results[0].timeout
        assert results[1:] == [{"_id": 1}, {"_id": 1}]


# What is sent.


@both_drivers
async def test_the_server_is_told_what_is_left(driver, proxy, mongodb_database_name):
    concern = package.WriteConcern(w=1, wtimeout=9000)
    async with driver.client(proxy.uri(timeoutMS=8000)) as client:
        collection = client[mongodb_database_name].get_collection("c", write_concern=concern)
        await collection.insert_many([{"_id": n} for n in range(5)])
        await collection.update_one({}, {"$set": {"x": 1}})
        await collection.delete_one({"_id": 4})
        await collection.find_one(max_time_ms=50000)
        await collection.find(batch_size=2).max_time_ms(50000).to_list()
        await (await collection.aggregate([], maxTimeMS=50000)).to_list()
        await client.admin.command("ping", maxTimeMS=50000)
        async with client.start_session() as session:
            await session.start_transaction(write_concern=concern, max_commit_time_ms=50000)
            await collection.insert_one({}, session=session)
            await session.commit_transaction()
            await session.commit_transaction()
            await session.start_transaction()
            await collection.insert_one({}, session=session)
            await session.abort_transaction()
    for name in ("insert", "update", "delete", "find", "aggregate", "ping"):
        for command in proxy.sent(name):
            assert 0 < command["maxTimeMS"] <= 8000, command
    for name in ("commitTransaction", "abortTransaction"):
        for command in proxy.sent(name):
            assert 0 < command["maxTimeMS"] <= 8000, command
    assert [command.get("maxTimeMS") for command in proxy.sent("getMore")] == [None, None]
    assert proxy.sent("insert")[0]["writeConcern"] == {"w": 1}
    ends = [command.get("writeConcern") for command in proxy.sent("commitTransaction")]
    assert ends == [{"w": 1}, {"w": "majority"}]


@both_drivers
async def test_without_a_limit_nothing_is_added(driver, proxy, mongodb_database_name):
    concern = package.WriteConcern(w=1, wtimeout=9000)
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].get_collection("c", write_concern=concern)
        await collection.insert_one({})
        await collection.find_one()
        await collection.find_one(max_time_ms=50000)
    assert "maxTimeMS" not in proxy.sent("insert")[0]
    assert proxy.sent("insert")[0]["writeConcern"] == {"w": 1, "wtimeout": 9000}
    assert [command.get("maxTimeMS") for command in proxy.sent("find")] == [None, 50000]


@both_drivers
async def test_a_tailable_cursor_awaits_as_long_as_it_was_told(
    driver, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri()) as client:
        database = client[mongodb_database_name]
        await database.create_collection("c", capped=True, size=4096)
        await database.c.insert_one({"_id": 1})
        kind = package.CursorType.TAILABLE_AWAIT
        cursor = database.c.find(cursor_type=kind).max_await_time_ms(20)
        with timeout(10):
            assert (await cursor.next())["_id"] == 1
            with pytest.raises((StopAsyncIteration, StopIteration)):
                await cursor.next()
        await cursor.close()
    assert 0 < proxy.sent("find")[0]["maxTimeMS"] <= 10000
    assert proxy.sent("getMore")[0]["maxTimeMS"] == 20


@both_drivers
async def test_a_command_whose_answer_would_come_too_late_is_not_sent(
    driver, proxy, mongodb_database_name
):
    proxy.delay = 0.4
    async with driver.client(proxy.uri(heartbeatFrequencyMS=500)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})

        # The minimum counts as soon as two round trips were measured.
        for _ in range(40):
            with timeout(20):
                await collection.find_one()
            if proxy.sent("find")[-1]["maxTimeMS"] <= 19600:
                break
        sent = proxy.seen["find"]
        refused = pytest.raises(ExecutionTimeout, match="would exceed time limit")
        with refused as raised, timeout(0.35):
            await collection.find_one()
        assert raised.value.code == raised.value.details["code"] == 50
        assert proxy.seen["find"] == sent
        assert 10000 < proxy.sent("find")[-1]["maxTimeMS"] <= 19600


# Retries.


@both_drivers
async def test_a_limited_operation_is_retried_until_it_succeeds(
    driver, fail, proxy, mongodb_database_name
):
    reads = {"errorCode": 134}
    writes = {"errorCode": 262, "errorLabels": ["RetryableWriteError"]}
    async with driver.client(proxy.uri(appName=APP)) as client:
        collection = client[mongodb_database_name].c
        for seconds in (20, 0):
            with fail("find", times=4, **reads), timeout(seconds):
                await collection.find_one()
            with fail("insert", times=4, **writes), timeout(seconds):
                await collection.insert_one({})
        with fail("find", times=2, **reads), pytest.raises(OperationFailure):
            await collection.find_one()
        numbers = [command["txnNumber"] for command in proxy.sent("insert")]
        assert numbers == [1] * 5 + [2] * 5
    assert proxy.seen["find"] == 5 + 5 + 2


@both_drivers
async def test_retries_end_with_the_limit(driver, fail, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(appName=APP)) as client:
        await client.admin.command("ping")  # connected
        how = {"errorCode": 134, "blockConnection": True, "blockTimeMS": 150}
        with fail("find", **how), takes(0.6, 5), pytest.raises(PyMongoError), timeout(0.8):
            await client[mongodb_database_name].c.find_one()
    assert 2 <= proxy.seen["find"] <= 6


# Transactions.


@both_drivers
async def test_with_transaction_ends_with_the_limit(driver, fail, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(appName=APP)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        how = {"errorCode": 24, "errorLabels": ["TransientTransactionError"]}
        how |= {"blockConnection": True, "blockTimeMS": 25}

        async def insert(session):
            await collection.insert_one({}, session=session)

        async with client.start_session() as session:
            with fail("insert", **how), times_out(ExecutionTimeout, 0.2), timeout(0.5):
                await session.with_transaction(insert)
            with timeout(10):
                await session.with_transaction(insert)
        assert await collection.count_documents({}) == 2


@ferromongo_only  # PyMongo leaves the transaction, and its locks, to the server for a minute
@both_drivers
async def test_a_limit_is_shared_by_all_of_a_transaction(
    driver, fail, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri(appName=APP)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})

        async def insert_twice(session):
            await collection.insert_one({}, session=session)
            await collection.insert_one({}, session=session)

        async with client.start_session() as session:
            slowly = fail("insert", blockConnection=True, blockTimeMS=300)
            with slowly, times_out(TIMEOUTS, 0.4), timeout(0.5):
                await session.with_transaction(insert_twice)
        assert await collection.count_documents({}) == 1
