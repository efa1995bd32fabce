"""Change streams as a program meets them, among others by the prose tests of the specification.

Which commands are sent, and which tokens, `tests/parity/test_change_stream_commands.py` compares.
"""

import asyncio
import contextlib
import gc
import time

import pytest
from bson import Timestamp
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo.errors import InvalidOperation, OperationFailure
from pymongo.monitoring import CommandListener, CommandStartedEvent, CommandSucceededEvent
from tests.drivers import APP, AsyncDriver, both_drivers, eventually, ferromongo_only, package
from tests.listeners import Recorder


@contextlib.asynccontextmanager
async def collection_on(driver, uri, name, **options):
    async with driver.client(uri, appname=APP, w="majority", **options) as client:
        yield await client[name].create_collection("c")


def sent(recorder, *names):
    """The commands of these names, in their order."""
    started = recorder.of(CommandStartedEvent)
    return [event for event in started if not names or event.command_name in names]


def stage(event):
    return event.command["pipeline"][0]["$changeStream"]


@both_drivers
async def test_iteration_waits_for_changes(driver, mongodb_uri, mongodb_database_name):
    async with collection_on(driver, mongodb_uri, mongodb_database_name) as collection:
        async with await collection.watch(max_await_time_ms=50) as stream:

            async def write():
                for n in range(5):
                    await driver.sleep(0.03)
                    await collection.insert_one({"_id": n})

            job = driver.start(write)
            seen = []
            async for change in stream:
                seen.append(change["documentKey"]["_id"])
                if len(seen) == 5:
                    break
            await job.result()
        assert seen == list(range(5))
        assert not stream.alive


@both_drivers
async def test_resuming_loses_and_repeats_nothing(driver, fail, mongodb_uri, mongodb_database_name):
    """Batches of three, and every second getMore fails one way or the other."""
    async with (
        collection_on(driver, mongodb_uri, mongodb_database_name) as collection,
        await collection.watch(batch_size=3) as stream,
    ):
        await collection.insert_many([{"_id": n} for n in range(40)])
        seen = []
        for n, how in enumerate(
            [
                {"errorCode": 43},
                {"closeConnection": True},
                {"errorCode": 6, "errorLabels": ["ResumableChangeStreamError"]},
                {"errorCode": 10107},
            ]
        ):
            with fail("getMore", times=2, **how):
                seen += [(await stream.next())["documentKey"]["_id"] for _ in range(10)]
            assert seen == list(range(10 * (n + 1)))


@both_drivers
async def test_an_aggregate_that_fails_is_no_reason_to_resume(
    driver, fail, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    listening = {"event_listeners": [recorder]}
    async with collection_on(driver, mongodb_uri, mongodb_database_name, **listening) as collection:
        with fail("aggregate", times=1, errorCode=2), pytest.raises(OperationFailure):
            await collection.watch()
        assert len(sent(recorder, "aggregate")) == 1


@both_drivers
async def test_a_resume_does_not_mind_that_the_old_cursor_cannot_be_closed(
    driver, fail, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    how = {"errorCode": 234, "errorLabels": ["ResumableChangeStreamError"], "times": 2}
    listening = {"event_listeners": [recorder]}
    async with collection_on(driver, mongodb_uri, mongodb_database_name, **listening) as collection:
        async with await collection.watch() as stream:
            with fail("getMore", "killCursors", **how):
                await collection.insert_one({"_id": 1})
                assert (await stream.next())["documentKey"] == {"_id": 1}
        about = sent(recorder, "aggregate", "getMore", "killCursors")
        names = [event.command_name for event in about]
        assert names[:4] == ["aggregate", "getMore", "killCursors", "aggregate"]


@both_drivers
async def test_the_cursor_of_an_empty_first_batch_is_kept(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    listening = {"event_listeners": [recorder]}
    async with collection_on(driver, mongodb_uri, mongodb_database_name, **listening) as collection:
        async with await collection.watch() as stream:
            await collection.insert_one({})
            await stream.next()
            assert not sent(recorder, "killCursors")
        assert len(sent(recorder, "aggregate")) == len(sent(recorder, "killCursors")) == 1


@both_drivers
async def test_at_the_end_of_a_batch_the_token_is_the_batchs(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    listening = {"event_listeners": [recorder]}
    async with collection_on(driver, mongodb_uri, mongodb_database_name, **listening) as collection:
        async with await collection.watch(max_await_time_ms=200) as stream:
            tokens = [stream.resume_token]
            await collection.insert_many([{}, {}])
            between = await stream.next()
            assert stream.resume_token == between["_id"]
            await stream.next()
            tokens.append(stream.resume_token)
            assert await stream.try_next() is None
            tokens.append(stream.resume_token)
        replies = [event.reply for event in recorder.of(CommandSucceededEvent)]
        batches = [reply["cursor"] for reply in replies if "postBatchResumeToken" in str(reply)]
        assert [batch["postBatchResumeToken"] for batch in batches] == tokens


@both_drivers
async def test_a_given_token_holds_until_a_change_is_read(
    driver, mongodb_uri, mongodb_database_name
):
    async with collection_on(driver, mongodb_uri, mongodb_database_name) as collection:
        async with await collection.watch() as stream:
            await collection.insert_many([{"_id": n} for n in range(4)])
            token = (await stream.next())["_id"]
        for how in ("resume_after", "start_after"):
            async with await collection.watch(**{how: token}) as stream:
                assert stream.resume_token == token
                stream.resume_token["_data"] = "changed by the caller"
                assert stream.resume_token == token
                for n in (1, 2):
                    change = await stream.next()
                    assert change["documentKey"]["_id"] == n
                    assert stream.resume_token == change["_id"]


@ferromongo_only
@both_drivers
async def test_a_collation_is_sent(driver, mongodb_uri, mongodb_database_name):
    """PyMongo takes it and says nothing of it to the server."""
    async with collection_on(driver, mongodb_uri, mongodb_database_name) as collection:
        matching = [{"$match": {"fullDocument.name": "TEA"}}]
        whatever_case = {"locale": "en", "strength": 2}
        async with await collection.watch(matching, collation=whatever_case) as stream:
            await collection.insert_many([{"name": "milk"}, {"name": "tea"}])
            assert (await stream.next())["fullDocument"]["name"] == "tea"


@both_drivers
async def test_a_time_before_the_stream(driver, mongodb_uri, mongodb_database_name):
    async with collection_on(driver, mongodb_uri, mongodb_database_name) as collection:
        async with await collection.watch() as stream:
            await collection.insert_many([{"_id": 1}, {"_id": 2}])
            first = (await stream.next())["clusterTime"]
        later = Timestamp(first.time, first.inc + 1)
        async with await collection.watch(start_at_operation_time=later) as stream:
            assert (await stream.next())["documentKey"] == {"_id": 2}


@both_drivers
async def test_what_cannot_be_decoded_ends_the_stream(driver, mongodb_uri, mongodb_database_name):
    bad = RawBSONDocument(b"\x0e\0\0\0\x02x\0\x02\0\0\0\xff\0\0")
    async with collection_on(driver, mongodb_uri, mongodb_database_name) as collection:
        async with await collection.watch() as stream:
            await collection.database.command("insert", "c", documents=[bad, {"x": 1}])
            with pytest.raises(InvalidBSON):
                await stream.next()
            assert not stream.alive
            assert await stream.try_next() is None
        cursor = collection.find(batch_size=1)
        with pytest.raises(InvalidBSON):
            await cursor.next()
        assert not cursor.alive
        assert await cursor.to_list() == []


@both_drivers
async def test_closed_from_elsewhere_while_it_waits(driver, mongodb_uri, mongodb_database_name):
    async with collection_on(driver, mongodb_uri, mongodb_database_name) as collection:
        stream = await collection.watch(max_await_time_ms=300)

        async def wait():
            with contextlib.suppress(StopIteration, StopAsyncIteration, OperationFailure):
                return await stream.next()

        job = driver.start(wait)
        await driver.sleep(0.1)
        await stream.close()
        assert await job.result(5) is None
        assert not stream.alive
        assert await stream.try_next() is None


@both_drivers
async def test_a_closed_client_ends_its_streams(driver, mongodb_uri, mongodb_database_name):
    async with collection_on(driver, mongodb_uri, mongodb_database_name) as collection:
        stream = await collection.watch()
    with pytest.raises(InvalidOperation):
        await stream.next()
    assert not stream.alive


@both_drivers
async def test_a_dropped_stream_is_closed_on_the_server(driver, mongodb_uri, mongodb_database_name):
    recorder = Recorder()
    listening = {"event_listeners": [recorder]}
    async with collection_on(driver, mongodb_uri, mongodb_database_name, **listening) as collection:
        stream = await collection.watch()
        number = stream._cursor.cursor_id
        del stream
        gc.collect()
        await eventually(driver, lambda: sent(recorder, "killCursors"), timeout=20)
        (kill,) = sent(recorder, "killCursors")
        assert kill.command["cursors"] == [number]


@ferromongo_only
async def test_a_cancelled_wait_leaves_the_stream_usable(mongodb_uri, mongodb_database_name):
    """PyMongo closes it. Its cursor is lost, as an answer may be, so the next call resumes."""
    driver = AsyncDriver()
    async with (
        collection_on(driver, mongodb_uri, mongodb_database_name) as collection,
        await collection.watch() as stream,
    ):
        await collection.insert_one({"_id": 1})
        assert (await stream.next())["documentKey"] == {"_id": 1}
        for n in (2, 3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.next(), 0.05)
            assert stream.alive
            await collection.insert_one({"_id": n})
            change = await asyncio.wait_for(stream.next(), 10)
            assert change["documentKey"] == {"_id": n}


class Interruption(BaseException):
    """As Ctrl-C while a listener runs."""


class Interrupting(CommandListener):
    armed = False

    def started(self, event): ...

    def failed(self, event): ...

    def succeeded(self, event):
        if self.armed and event.command_name == "getMore":
            self.armed = False
            raise Interruption


@ferromongo_only  # PyMongo closes the stream
@both_drivers
async def test_an_interrupted_listener_loses_no_change(driver, mongodb_uri, mongodb_database_name):
    listener = Interrupting()
    listening = {"event_listeners": [listener]}
    async with (
        collection_on(driver, mongodb_uri, mongodb_database_name, **listening) as collection,
        await collection.watch() as stream,
    ):
        await collection.insert_many([{"_id": 1}, {"_id": 2}])
        listener.armed = True
        with pytest.raises(Interruption):
            await stream.next()
        for n in (1, 2):
            assert (await stream.next())["documentKey"] == {"_id": n}


@ferromongo_only
@both_drivers
async def test_a_stream_that_is_lost_again_and_again_says_so(
    driver, fail, mongodb_uri, mongodb_database_name
):
    """PyMongo's `next` never comes back. The stream can still be used."""
    async with (
        collection_on(driver, mongodb_uri, mongodb_database_name) as collection,
        await collection.watch() as stream,
    ):
        with fail("getMore", errorCode=43) as failing, pytest.raises(OperationFailure) as told:
            await stream.next()
        assert told.value.code == 43
        assert failing.hits == 11
        assert stream.alive
        await collection.insert_one({"_id": 1})
        assert (await stream.next())["documentKey"] == {"_id": 1}


@both_drivers
async def test_a_time_limit_is_that_of_the_call(driver, fail, mongodb_uri, mongodb_database_name):
    async with (
        collection_on(driver, mongodb_uri, mongodb_database_name) as collection,
        await collection.watch(max_await_time_ms=50) as stream,
    ):
        start = time.monotonic()
        with package.timeout(0.3), pytest.raises(package.errors.PyMongoError) as told:
            await stream.next()
        assert told.value.timeout
        assert 0.2 < time.monotonic() - start < 10
        assert stream.alive
        await collection.insert_one({"_id": 1})
        assert (await stream.next())["documentKey"] == {"_id": 1}


@both_drivers
async def test_secondaries_serve_streams_as_the_read_preference_says(
    driver, fail, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    listening = {"event_listeners": [recorder], "readPreference": "secondary"}
    async with collection_on(driver, mongodb_uri, mongodb_database_name, **listening) as collection:
        async with await collection.watch() as stream:
            await collection.insert_one({"_id": 1})
            await stream.next()
            with fail("getMore", times=1, errorCode=43, on="all"):
                await collection.insert_one({"_id": 2})
                await stream.next()
        primary = collection.database.client.primary
        primary = primary if driver.name == "sync" else await primary
        opened = sent(recorder, "aggregate")
        assert len(opened) == 2
        assert all(event.connection_id != primary for event in opened)
        assert "resumeAfter" not in stage(opened[0])
        assert "resumeAfter" in stage(opened[1])
