"""Events of an operation are delivered by its own thread, in its own context, before it returns,
whatever the listeners of other threads and of the background do meanwhile."""

import asyncio
import contextvars
import threading
import time

import pytest
from pymongo import monitoring
from tests.drivers import both_drivers, eventually, ferromongo_only, package
from tests.listeners import Commands, Recorder

caller = contextvars.ContextVar("caller", default=None)


class Spans(monitoring.CommandListener):
    """What a tracer does: a span begins under the span of the context, and ends by request id."""

    def __init__(self):
        self.begun, self.ended, self.open = [], [], {}

    def started(self, event):
        parent = caller.get(), threading.get_ident()
        self.open[event.request_id] = event.command.get("comment")
        self.begun.append((event.command.get("comment"), *parent))

    def succeeded(self, event):
        self.ended.append((self.open.pop(event.request_id), caller.get(), threading.get_ident()))

    failed = succeeded

    def strays(self):
        return [
            span for span in self.begun + self.ended if span[0] is not None and span[0] != span[1]
        ]


def in_threads(count, work):
    errors = []

    def run(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, count + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_listeners_run_in_the_context_of_each_thread(mongodb_uri, mongodb_database_name):
    spans = Spans()
    with package.MongoClient(mongodb_uri, event_listeners=[spans]) as client:
        collection = client[mongodb_database_name].c
        identities = {}

        def work(number):
            caller.set(number)
            identities[number] = threading.get_ident()
            for _ in range(20):
                collection.find_one({}, comment=number)

        in_threads(8, work)
        mine = [span for span in spans.begun + spans.ended if span[0] is not None]
        assert len(mine) == 8 * 20 * 2
        assert not spans.strays()
        assert all(thread == identities[number] for number, _, thread in mine)
        assert not spans.open


async def test_listeners_run_in_the_context_of_each_task(mongodb_uri, mongodb_database_name):
    spans = Spans()
    async with package.AsyncMongoClient(mongodb_uri, event_listeners=[spans]) as client:
        collection = client[mongodb_database_name].c

        async def work(number):
            caller.set(number)
            for _ in range(10):
                await collection.find_one({}, comment=number)

        await asyncio.gather(*(work(number) for number in range(1, 21)))
        assert len([span for span in spans.ended if span[0] is not None]) == 200
        assert not spans.strays()
        assert not spans.open


def test_all_events_are_delivered_before_an_operation_returns(mongodb_uri, mongodb_database_name):
    heard = threading.local()

    def slow(event):
        time.sleep(0.02)
        heard.names.append(event.command_name)

    with package.MongoClient(mongodb_uri, event_listeners=[Commands(slow)]) as client:
        heard.names = []
        collection = client[mongodb_database_name].c
        collection.find_one()

        def work(number):
            heard.names = []
            for count in range(1, 7):
                collection.insert_one({})
                assert heard.names == ["insert", "insert"] * count

        in_threads(12, work)


def test_a_blocked_listener_does_not_block_other_threads(mongodb_uri, mongodb_database_name):
    inside, release = threading.Event(), threading.Event()

    def hear(event):
        if event.command_name == "insert":
            inside.set()
            assert release.wait(60)

    recorder = Recorder()
    with package.MongoClient(mongodb_uri, event_listeners=[Commands(hear), recorder]) as client:
        collection = client[mongodb_database_name].c
        collection.find_one()
        stuck = threading.Thread(target=collection.insert_one, args=({},))
        stuck.start()
        try:
            assert inside.wait(30)
            for _ in range(5):
                collection.find_one()
            assert len(recorder.commands("find")) == 12
        finally:
            release.set()
            stuck.join(30)


def test_a_blocked_heartbeat_listener_does_not_block_operations(mongodb_uri):
    inside, release = threading.Event(), threading.Event()

    class Waiting(monitoring.ServerHeartbeatListener):
        def started(self, event):
            if event.awaited:
                inside.set()
                assert release.wait(60)

        def succeeded(self, event):
            pass

        failed = succeeded

    heard = []
    listeners = [Waiting(), Commands(heard.append)]
    with package.MongoClient(mongodb_uri, event_listeners=listeners) as client:
        try:
            client.admin.command("ping")
            assert inside.wait(30)
            heard.clear()
            client.admin.command("ping")
            assert [event.command_name for event in heard] == ["ping", "ping"]
            # Neither those of another client.
            with package.MongoClient(mongodb_uri, event_listeners=[other := Recorder()]) as second:
                second.admin.command("ping")
            assert other.of(monitoring.TopologyClosedEvent)
        finally:
            release.set()


@ferromongo_only  # PyMongo's `close` delivers the last ones itself
@both_drivers
async def test_background_events_are_delivered_by_one_thread(driver, mongodb_uri):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder], minPoolSize=3) as client:
        await client.admin.command("ping")
        made = (monitoring.ConnectionReadyEvent,)
        await eventually(driver, lambda: len(recorder.of(*made)) >= 3)
    me = threading.current_thread()
    of_the_caller = (monitoring.CommandStartedEvent, monitoring.ConnectionCheckedOutEvent)
    of_others = (
        *(monitoring._ServerHeartbeatEvent, monitoring.TopologyEvent, monitoring._ServerEvent),
        *(monitoring.PoolCreatedEvent, monitoring.PoolReadyEvent),
    )
    told = list(zip(recorder.events, recorder.threads, strict=True))
    assert {thread for event, thread in told if isinstance(event, of_the_caller)} == {me}
    assert me not in {thread for event, thread in told if isinstance(event, of_others)}
    # Those of minPoolSize; the first one may be the caller's.
    assert any(thread is not me for event, thread in told if isinstance(event, made))


@both_drivers
async def test_pool_ready_is_delivered_before_the_pool_is_used(driver, mongodb_uri):
    """And its birth, and the end of it, have their places."""
    for _ in range(5):
        recorder = Recorder()
        async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
            await client.admin.command("ping")
        for address in {event.address for event in recorder.of(monitoring.PoolCreatedEvent)}:
            events = [
                type(event)
                for event in recorder.of(monitoring._PoolEvent)
                if event.address == address
            ]
            assert events[0] is monitoring.PoolCreatedEvent
            assert events[-1] is monitoring.PoolClosedEvent
            if monitoring.ConnectionCheckOutStartedEvent in events:
                assert events[1] is monitoring.PoolReadyEvent
        assert recorder.of(monitoring.TopologyClosedEvent)


@ferromongo_only  # PyMongo publishes started before it sends, and no end then
@pytest.mark.parametrize("when", ["started", "succeeded"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_system_exit_in_a_listener_is_raised_and_loses_no_event(
    kind, when, mongodb_uri, mongodb_database_name
):
    class Exiting(monitoring.CommandListener):
        armed = True

        def _hear(self, event):
            pass

        started = succeeded = failed = _hear

    listener, recorder = Exiting(), Recorder()

    def leave(event):
        if event.command_name == "insert" and listener.armed:
            listener.armed = False
            raise kind

    setattr(listener, when, leave)
    with package.MongoClient(mongodb_uri, event_listeners=[recorder, listener]) as client:
        collection = client[mongodb_database_name].c
        with pytest.raises(kind):
            collection.insert_one({"_id": 1})
        started, ended = recorder.commands("insert")
        assert started.request_id == ended.request_id
        if when == "started":
            # The command was under way and is cut short, or it had already ended.
            assert getattr(ended, "failure", {}).get("errtype") in (kind.__name__, None)
        else:
            assert ended.reply["n"] == 1
        taken, given = (
            len(recorder.of(kind))
            for kind in (
                monitoring.ConnectionCheckedOutEvent,
                monitoring.ConnectionCheckedInEvent,
            )
        )
        assert taken == given
        assert collection.find_one({"_id": 2}) is None  # the client goes on
