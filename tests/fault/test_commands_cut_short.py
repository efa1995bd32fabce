"""Each CommandStartedEvent is followed by an end, however its operation ends."""

import asyncio
import gc
import logging
import signal
import sys

import pytest
from pymongo import monitoring
from pymongo.errors import AutoReconnect, NetworkTimeout
from tests.drivers import AsyncDriver, both_drivers, eventually, ferromongo_only, package
from tests.fault.peer import Peer
from tests.listeners import Commands, Recorder

driver = AsyncDriver()


def ended(recorder, name="find"):
    """The failures, one for each start."""
    started, *rest = recorder.commands(name)
    assert isinstance(started, monitoring.CommandStartedEvent)
    (failed,) = rest
    assert isinstance(failed, monitoring.CommandFailedEvent)
    assert failed.request_id == started.request_id
    assert failed.operation_id == started.operation_id
    assert failed.duration_micros > 0
    return failed.failure


async def stalled(proxy, client, name):
    proxy.stall("find")
    task = asyncio.create_task(client[name].c.find_one())
    await eventually(driver, lambda: proxy.seen["find"] == 1)
    return task


@pytest.mark.parametrize("message", [None, "enough"])
async def test_a_cancelled_command_publishes_failed(message, proxy, mongodb_database_name):
    recorder = Recorder()
    async with package.AsyncMongoClient(proxy.uri(), event_listeners=[recorder]) as client:
        task = await stalled(proxy, client, mongodb_database_name)
        task.cancel(message)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended(recorder) == {
            "errmsg": message or "operation interrupted by CancelledError",
            "errtype": "CancelledError",
        }
        assert len(recorder.of(monitoring.ConnectionCheckedOutEvent)) == len(
            recorder.of(monitoring.ConnectionCheckedInEvent)
        )


async def test_each_of_fifty_cancelled_commands_publishes_failed(proxy, mongodb_database_name):
    recorder = Recorder()
    async with package.AsyncMongoClient(proxy.uri(), event_listeners=[recorder]) as client:
        proxy.stall("find", times=50)
        collection = client[mongodb_database_name].c
        tasks = [asyncio.create_task(collection.find_one()) for _ in range(50)]
        await eventually(driver, lambda: proxy.seen["find"] == 50)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        started = {e.request_id for e in recorder.of(monitoring.CommandStartedEvent)}
        failed = {e.request_id for e in recorder.of(monitoring.CommandFailedEvent)}
        assert len(started) == 50
        assert failed == started


async def test_a_command_that_wait_for_cancels_publishes_failed(proxy, mongodb_database_name):
    recorder = Recorder()
    async with package.AsyncMongoClient(proxy.uri(), event_listeners=[recorder]) as client:
        proxy.stall("find")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client[mongodb_database_name].c.find_one(), 0.5)
        assert ended(recorder)["errtype"] == "CancelledError"


@ferromongo_only  # PyMongo's operations want to be driven by a task
@pytest.mark.parametrize("how", ["closed", "dropped", "thrown"])
async def test_the_command_of_an_abandoned_coroutine_publishes_failed(
    how, proxy, mongodb_database_name
):
    recorder = Recorder()
    async with package.AsyncMongoClient(proxy.uri(), event_listeners=[recorder]) as client:
        await client.admin.command("ping")
        proxy.stall("find")
        coroutine = client[mongodb_database_name].c.find_one()
        while proxy.seen["find"] == 0:
            coroutine.send(None)
            await asyncio.sleep(0.05)
        if how == "closed":
            coroutine.close()
        elif how == "thrown":
            with pytest.raises(ZeroDivisionError):
                coroutine.throw(ZeroDivisionError("by hand"))
        del coroutine
        gc.collect()
        await eventually(driver, lambda: len(recorder.commands("find")) == 2)
        if how == "thrown":
            assert ended(recorder) == {"errmsg": "by hand", "errtype": "ZeroDivisionError"}
        else:
            assert ended(recorder) == {
                "errmsg": "operation interrupted by GeneratorExit",
                "errtype": "GeneratorExit",
            }


async def test_a_cancelled_get_more_publishes_failed(proxy, mongodb_database_name):
    recorder = Recorder()
    async with package.AsyncMongoClient(proxy.uri(), event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(10)])
        proxy.stall("getMore")
        task = asyncio.create_task(collection.find(batch_size=2).to_list())
        await eventually(driver, lambda: proxy.seen["getMore"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended(recorder, "getMore")["errtype"] == "CancelledError"


@pytest.mark.parametrize("name", ["commitTransaction", "abortTransaction"])
async def test_a_cancelled_commit_or_abort_publishes_failed(name, proxy, mongodb_database_name):
    recorder = Recorder()
    async with package.AsyncMongoClient(proxy.uri(), event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_one({}, session=session)
            proxy.stall(name)
            end = {"commitTransaction": session.commit_transaction}
            task = asyncio.create_task(end.get(name, session.abort_transaction)())
            await eventually(driver, lambda: proxy.seen[name] == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            first = recorder.commands(name)[:2]
            assert [type(event).__name__ for event in first] == [
                "CommandStartedEvent",
                "CommandFailedEvent",
            ]
            assert first[1].failure["errtype"] == "CancelledError"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ArithmeticError])
def test_a_command_interrupted_by_a_signal_handler_publishes_failed(
    kind, proxy, mongodb_database_name
):
    def handle(number, frame):
        raise kind

    recorder = Recorder()
    before = signal.signal(signal.SIGALRM, handle)
    try:
        with package.MongoClient(proxy.uri(), event_listeners=[recorder]) as client:
            client.admin.command("ping")
            proxy.stall("find")
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(kind):
                client[mongodb_database_name].c.find_one()
            assert ended(recorder) == {
                "errmsg": f"operation interrupted by {kind.__name__}",
                "errtype": kind.__name__,
            }
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@ferromongo_only  # PyMongo publishes started before it sends, and no end then
def test_a_command_ended_by_system_exit_in_a_listener_publishes_failed(
    proxy, mongodb_database_name
):
    def leave(event):
        if event.command_name == "find" and isinstance(event, monitoring.CommandStartedEvent):
            sys.exit("out")

    recorder = Recorder()
    listeners = [recorder, Commands(leave)]
    with package.MongoClient(proxy.uri(), event_listeners=listeners) as client:
        client.admin.command("ping")
        proxy.stall("find")
        with pytest.raises(SystemExit):
            client[mongodb_database_name].c.find_one()
        assert ended(recorder) == {"errmsg": "out", "errtype": "SystemExit"}


@ferromongo_only
@both_drivers
async def test_an_authentication_that_times_out_publishes_failed(driver):
    """The commands of the handshake are published too."""
    recorder = Recorder()
    with Peer() as peer:
        peer.on("saslContinue", None)
        options = {"username": "user", "password": "pencil", "authMechanism": "PLAIN"}
        peer.on("saslStart", None)
        uri = peer.uri(retryReads=False, connectTimeoutMS=500)
        async with driver.client(uri, event_listeners=[recorder], **options) as client:
            with pytest.raises((NetworkTimeout, AutoReconnect)):
                await client.db.c.find_one()
        assert ended(recorder, "saslStart")["errtype"] == "NetworkTimeout"
        assert len(recorder.of(monitoring.ConnectionCheckOutStartedEvent)) == len(
            recorder.of(monitoring.ConnectionCheckOutFailedEvent)
        )


async def test_a_cancelled_handshake_publishes_check_out_failed_and_connection_closed(proxy):
    recorder = Recorder()
    with Peer() as peer:
        peer.on("saslStart", None)
        options = {"username": "user", "password": "pencil", "authMechanism": "PLAIN"}
        async with package.AsyncMongoClient(
            peer.uri(), event_listeners=[recorder], **options
        ) as client:
            task = asyncio.create_task(client.db.c.find_one())
            await eventually(driver, lambda: peer.seen["saslStart"] == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended(recorder, "saslStart")["errtype"] == "CancelledError"
            assert len(recorder.of(monitoring.ConnectionCheckOutStartedEvent)) == len(
                recorder.of(monitoring.ConnectionCheckOutFailedEvent)
            )
            created = recorder.of(monitoring.ConnectionCreatedEvent)
            closed = recorder.of(monitoring.ConnectionClosedEvent)
            assert len(created) == len(closed) == 1


async def test_a_cancelled_command_is_logged_as_failed(proxy, mongodb_database_name, caplog):
    async with package.AsyncMongoClient(proxy.uri()) as client:
        await client.admin.command("ping")
        with caplog.at_level(logging.DEBUG, "pymongo.command"):
            task = await stalled(proxy, client, mongodb_database_name)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        texts = [record.getMessage() for record in caplog.records]
        finds = [text for text in texts if '"commandName": "find"' in text]
        assert ["Command started" in text for text in finds] == [True, False]
        assert "Command failed" in finds[1]
        assert "operation interrupted by CancelledError" in finds[1]
