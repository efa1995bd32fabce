"""Change streams on ferromongo and on PyMongo: the same events, tokens, errors and commands.

A program gets a database with an empty collection `x`, and `fail`. It runs on both APIs of both
packages; what it returns (or raises) and the commands sent meanwhile must be equal, resume tokens
in the order in which they appear.
"""

import time

import pymongo
import pytest
from bson import SON, CodecOptions
from bson.codec_options import TypeDecoder, TypeRegistry
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandStartedEvent
from pymongo.read_concern import ReadConcern
from tests.drivers import APP, AsyncDriver, Awaitable, SyncDriver, patient
from tests.listeners import Recorder
from tests.parity.heard import Names, plain

import ferromongo

PROGRAMS = {}
NAME = "change_stream_commands"


def program(function):
    PROGRAMS[function.__name__] = function
    return function


async def insert(db, *ids):
    await db.x.insert_many([{"_id": id} for id in ids])


async def outcome(call):
    try:
        result = await call()
    except (StopIteration, StopAsyncIteration):
        return "the end"
    except (PyMongoError, TypeError, ValueError) as error:
        return type(error).__name__, getattr(error, "code", None)
    return "a stream" if hasattr(result, "resume_token") else result


async def read(stream, count):
    """That many events as the server's `_id`s, and where the stream stood after each."""
    found = []
    for _ in range(count):
        event = await stream.next()
        found.append((event["operationType"], event.get("documentKey"), stream.resume_token))
    return found, stream.alive


@program
async def with_every_option(db, fail):
    await db.command("collMod", "x", changeStreamPreAndPostImages={"enabled": True})
    stream = await db.x.watch(
        [{"$match": {"operationType": {"$in": ["insert", "update"]}}}],
        full_document="updateLookup",
        full_document_before_change="whenAvailable",
        max_await_time_ms=500,
        batch_size=2,
        comment="c",
        show_expanded_events=True,
    )
    first = stream.resume_token
    await insert(db, 1, 2, 3)
    await db.x.update_one({"_id": 1}, {"$set": {"a": 5}})
    events = [await stream.next() for _ in range(4)]
    uuids = {event.pop("collectionUUID") for event in events}
    await stream.close()
    return first, events, len(uuids), stream.resume_token, stream.alive


@program
async def of_a_database(db, fail):
    async with await db.watch(batch_size=1) as stream:
        await insert(db, 1, 2, 3)
        return await read(stream, 3)


@program
async def of_a_client(db, fail):
    only = [{"$match": {"ns.db": db.name}}]
    async with await db.client.watch(only) as stream:
        await insert(db, 1, 2)
        return await read(stream, 2)


@program
async def one_get_more_for_try_next(db, fail):
    async with await db.x.watch(max_await_time_ms=20) as stream:
        nothing = [await stream.try_next(), stream.resume_token, await stream.try_next()]
        await insert(db, 1, 2)
        some = [(await stream.try_next())["documentKey"] for _ in range(2)]
        return nothing, some, await stream.try_next(), stream.resume_token


@program
async def closed(db, fail):
    stream = await db.x.watch()
    await insert(db, 1)
    await stream.close()
    await stream.close()
    return stream.alive, await outcome(stream.next)


@program
async def iterated_to_the_end(db, fail):
    async with await db.x.watch() as stream:
        await insert(db, 1)
        await db.x.drop()
        events = [event["operationType"] async for event in stream]
        return events, stream.alive, await stream.try_next(), await outcome(stream.next)


def placed(how):
    async def run(db, fail):
        async with await db.x.watch() as before:
            await insert(db, 1, 2, 3)
            token = (await before.next())["_id"]
        async with await db.x.watch(**{how: token}) as stream:
            begun = stream.resume_token
            return begun, await read(stream, 2)

    return run


PROGRAMS["placed_by_resume_after"] = placed("resume_after")
PROGRAMS["placed_by_start_after"] = placed("start_after")


@program
async def placed_behind_an_invalidation(db, fail):
    async with await db.x.watch() as before:
        await db.x.drop()
        await before.next()
        token = (await before.next())["_id"]
    await insert(db, 1)
    refused = await outcome(lambda: db.x.watch(resume_after=token))
    async with await db.x.watch(start_after=token) as stream:
        return refused, await read(stream, 1)


@program
async def placed_by_time(db, fail):
    time = (await db.client.admin.command("ping"))["operationTime"]
    await insert(db, 1, 2)
    async with await db.x.watch(start_at_operation_time=time) as stream:
        return stream.resume_token is None, await read(stream, 2)


def lost(**how):
    """A cursor whose getMore fails, before and after the first event."""

    async def run(db, fail):
        async with await db.x.watch(max_await_time_ms=200) as stream:
            with fail("getMore", times=1, **how):
                before = await outcome(stream.try_next), stream.alive, stream.resume_token
            await insert(db, 1)
            first = await read(stream, 1)
            with fail("getMore", times=2, **how):
                await insert(db, 2, 3)
                return before, first, await outcome(lambda: read(stream, 2)), stream.alive

    return run


PROGRAMS["lost_as_the_cursor_is_unknown"] = lost(errorCode=43)
PROGRAMS["lost_with_a_label"] = lost(errorCode=234, errorLabels=["ResumableChangeStreamError"])
PROGRAMS["lost_with_the_connection"] = lost(closeConnection=True)


@program
async def lost_for_good(db, fail):
    stream = await db.x.watch()
    with fail("getMore", times=1, errorCode=280):
        failed = await outcome(stream.next)
    return failed, stream.alive, await outcome(stream.next), await stream.try_next()


@program
async def lost_and_not_opened_at_first(db, fail):
    """The aggregate that resumes fails too: the next call tries again."""
    async with await db.x.watch(max_await_time_ms=100) as stream:
        await insert(db, 1, 2)
        first = await read(stream, 1)
        await stream.try_next()
        how = {"errorCode": 134, "errorLabels": ["ResumableChangeStreamError"]}
        with fail("getMore", "aggregate", times=3, **how):
            failed = await outcome(stream.try_next), stream.alive
        await insert(db, 3)
        return first, failed, await read(stream, 1)


@program
async def lost_after_start_after(db, fail):
    """Until an event has come it resumes as it began."""
    async with await db.x.watch() as before:
        await insert(db, 1)
        token = (await before.next())["_id"]
    async with await db.x.watch(start_after=token, max_await_time_ms=20) as stream:
        with fail("getMore", times=1, errorCode=43):
            nothing = await stream.try_next()
        await insert(db, 2)
        found = await read(stream, 1)
        with fail("getMore", times=1, errorCode=43):
            return nothing, found, await stream.try_next()


@program
async def not_opened(db, fail):
    with fail("aggregate", times=1, errorCode=2):
        return await outcome(db.x.watch)


@program
async def opened_at_the_second_attempt(db, fail):
    with fail("aggregate", times=1, errorCode=134):
        async with await db.x.watch() as stream:
            await insert(db, 1)
            return await read(stream, 1)


@program
async def without_resume_tokens(db, fail):
    stream = await db.x.watch([{"$project": {"_id": 0}}])
    await insert(db, 1)
    return await outcome(stream.next), stream.alive, await outcome(stream.next)


@program
async def in_a_session(db, fail):
    session = db.client.start_session()
    async with session, await db.x.watch(session=session) as stream:
        await db.x.insert_one({"_id": 1}, session=session)
        found = await read(stream, 1)
        with fail("getMore", times=1, errorCode=43):
            await db.x.insert_one({"_id": 2}, session=session)
            return found, await read(stream, 1)


@program
async def with_concerns(db, fail):
    other = db.get_collection(
        "x", read_concern=ReadConcern("majority"), read_preference=ReadPreference.PRIMARY_PREFERRED
    )
    async with await other.watch() as stream:
        await insert(db, 1)
        return await read(stream, 1)


@program
async def of_another_document_class(db, fail):
    found = []
    for kind in (SON, RawBSONDocument):
        other = db.get_collection("x", codec_options=CodecOptions(kind))
        async with await other.watch() as stream:
            begun = stream.resume_token
            await insert(db, kind.__name__)
            event = await stream.next()
            kinds = [type(value).__name__ for value in (begun, event, stream.resume_token)]
            found.append((kinds, event["documentKey"]["_id"]))
    return found


class Loud(TypeDecoder):
    bson_type = str

    def transform_bson(self, value):
        return value.upper()


@program
async def with_types_of_ones_own(db, fail):
    """Even the token's text is decoded with them, and the stream can be resumed all the same."""
    options = CodecOptions(type_registry=TypeRegistry([Loud()]))
    async with await db.get_collection("x", codec_options=options).watch() as stream:
        await insert(db, "a", "b")
        first = await stream.next()
        with fail("getMore", times=1, errorCode=43):
            second = await stream.next()
            await insert(db, "c")
            third = await stream.next()
        return [event["documentKey"] for event in (first, second, third)]


@program
async def with_a_time_limit(db, fail):
    async with await db.x.watch(max_await_time_ms=200) as stream:
        with fail("getMore", blockConnection=True, blockTimeMS=400), pymongo.timeout(0.2):
            failed = await outcome(stream.next), stream.alive
        await insert(db, 1)
        return failed, await read(stream, 1)


@program
async def wrong_arguments(db, fail):
    calls = (
        lambda: db.x.watch({}),
        lambda: db.x.watch(full_document=1),
        lambda: db.x.watch(batch_size=-1),
        lambda: db.x.watch(collation=1),
        lambda: db.x.watch(resume_after={"_data": "no"}),
        lambda: db.x.watch(full_document="no"),
    )
    return [await outcome(call) for call in calls]


@pytest.fixture(scope="module")
def admin(mongodb_uri):
    with pymongo.MongoClient(mongodb_uri) as client:
        yield client
        client.drop_database(NAME)


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same(name, driver_class, admin, fail, mongodb_uri):
    told, sent = [], 0
    for package in (pymongo, ferromongo):
        admin.drop_database(NAME)
        admin[NAME].create_collection("x")
        recorder, driver = Recorder(), driver_class()
        played = _play(PROGRAMS[name], driver, package, mongodb_uri, recorder, fail, sent)
        result = driver.run(played)
        sent = len(recorder.of(CommandStartedEvent))
        names = Names()
        started = [event.command for event in recorder.of(CommandStartedEvent)]
        commands = [plain(one, names) for one in started if "endSessions" not in one]
        for command in commands:
            command.pop("$clusterTime", None)  # PyMongo knows it from the handshake on
        told.append((plain(_as_lists(result), names), commands))
    assert told[1] == told[0]


async def _play(program, driver, package, uri, recorder, fail, expected):
    kind = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, kind)(uri, event_listeners=[recorder], appname=APP, w="majority")
    async with Awaitable(client) if driver.name == "sync" else client as client:
        result = await program(client[NAME], fail)
        # ferromongo closes cursors beside the caller, who may be done before. One command is still
        # to come: the one that ends sessions.
        deadline = time.monotonic() + patient(5)
        while len(recorder.of(CommandStartedEvent)) < expected - 1 and time.monotonic() < deadline:
            await driver.sleep(0.01)
        return result


def _as_lists(value):
    if isinstance(value, (list, tuple)):
        return [_as_lists(item) for item in value]
    return value
