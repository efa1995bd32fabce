"""Batches that are asked for ahead: documents, commands and events stay the same."""

import contextvars
import threading
import time

import pytest
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from bson.errors import InvalidBSON
from pymongo import CursorType, monitoring
from tests.drivers import both_drivers, ferromongo_only, package, patient
from tests.listeners import Commands, Recorder

COUNT, BATCH = 23, 5
NUMBERS = list(range(COUNT))
GET_MORES = ["getMore"] * 4


@pytest.fixture(autouse=True)
def numbers(client, mongodb_database_name):
    client[mongodb_database_name].n.insert_many([{"_id": n} for n in NUMBERS])


def find(collection, **options):
    return collection.find({}, sort=[("_id", 1)], batch_size=BATCH, **options)


def ids(documents):
    return [document["_id"] for document in documents]


def names(recorder):
    """Of the commands, in the order in which they were sent."""
    started = recorder.of(monitoring.CommandStartedEvent)
    wanted = {"find", "aggregate", "getMore", "killCursors", "ping"}
    return [event.command_name for event in started if event.command_name in wanted]


def lent(recorder):
    """How many connections are checked out."""
    out = recorder.of(monitoring.ConnectionCheckedOutEvent)
    return len(out) - len(recorder.of(monitoring.ConnectionCheckedInEvent))


async def until_all_are_back(driver, recorder):
    """Cursors may be closed in the background."""
    began = time.monotonic()
    while lent(recorder):
        assert time.monotonic() - began < patient(60)
        await driver.sleep(0.01)


READERS = {
    "list": list,
    "tuple": tuple,
    "display": lambda cursor: [*cursor],
    "sorted": lambda cursor: sorted(cursor, key=lambda document: document["_id"]),
    "starred": lambda cursor: (lambda first, *rest: [first, *rest])(*cursor),
    "comprehension": lambda cursor: [*(document for document in cursor)],
    "extended": lambda cursor: [*[], *cursor],
    "to_list": lambda cursor: cursor.to_list(),
}


@pytest.mark.parametrize("way", READERS)
@pytest.mark.parametrize("ahead", [False, True])
def test_every_way_to_read_a_cursor_whole(way, ahead, mongodb_uri, mongodb_database_name):
    recorder = Recorder()
    with package.MongoClient(mongodb_uri, event_listeners=[recorder]) as client:
        cursor = find(client[mongodb_database_name].n)
        if ahead and package.__name__ == "ferromongo":
            cursor = cursor.read_ahead()
        assert ids(READERS[way](cursor)) == NUMBERS
        assert names(recorder) == ["find", *GET_MORES]
        assert lent(recorder) == 0
        assert not cursor.alive
        cursor.rewind()
        assert ids(cursor) == NUMBERS
        assert ids(find(client[mongodb_database_name].n)[7:19]) == NUMBERS[7:19]
        assert find(client[mongodb_database_name].n)[9]["_id"] == 9


async def _find(collection):
    return find(collection)


async def _aggregate(collection):
    return await collection.aggregate([{"$sort": {"_id": 1}}], batchSize=BATCH)


async def _cursor_command(collection):
    command = {"find": "n", "sort": {"_id": 1}, "batchSize": BATCH}
    return await collection.database.cursor_command(command)


KINDS = pytest.mark.parametrize(
    "kind", [_find, _aggregate, _cursor_command], ids=lambda kind: kind.__name__.lstrip("_")
)


@KINDS
@both_drivers
async def test_lists_of_some_length_until_the_end(driver, kind, mongodb_uri, mongodb_database_name):
    for length in (1, 3, 4, 5, 6, 11, 22, 23, 24):
        recorder = Recorder()
        async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
            cursor = await kind(client[mongodb_database_name].n)
            lists = []
            while not lists or lists[-1]:
                lists.append(ids(await cursor.to_list(length)))
                assert lent(recorder) == 0, "a list that is whole asks for no more"
            assert [len(some) for some in lists[:-2]] == [length] * (len(lists) - 2)
            assert [n for some in lists for n in some] == NUMBERS
            if kind is not _cursor_command:  # its getMores have no batch size
                assert names(recorder)[1:] == GET_MORES


@KINDS
@both_drivers
async def test_a_list_of_the_rest(driver, kind, mongodb_uri, mongodb_database_name):
    for read in (1, 4, 5, 6, 22):
        async with driver.client(mongodb_uri) as client:
            cursor = await kind(client[mongodb_database_name].n)
            begun = [(await anext(cursor))["_id"] for _ in range(read)]
            assert begun + ids(await cursor.to_list()) == NUMBERS


@both_drivers
async def test_raw_batches_and_lists_of_collections(driver, mongodb_uri, mongodb_database_name):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        database = client[mongodb_database_name]
        batches = await database.n.find_raw_batches(batch_size=BATCH, sort=[("_id", 1)]).to_list()
        assert len(batches) == 5
        assert names(recorder) == ["find", *GET_MORES]
        expected = sorted([f"c{n}" for n in range(7)] + ["n"])
        for n in range(7):
            await database.create_collection(f"c{n}")
        cursor = await database.list_collections(cursor={"batchSize": 2})
        assert sorted(one["name"] for one in await cursor.to_list()) == expected
        assert lent(recorder) == 0


@ferromongo_only
@both_drivers
async def test_one_batch_is_under_way_while_the_loop_reads(
    driver, mongodb_uri, mongodb_database_name
):
    for chosen in (True, False):
        recorder = Recorder()
        async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
            seen = []
            async for document in find(client[mongodb_database_name].n).read_ahead(chosen):
                seen.append(document["_id"])
                sent = len(names(recorder))
                assert sent == min(1 + (len(seen) - 1) // BATCH + chosen, 5)
            assert seen == NUMBERS
            assert names(recorder) == ["find", *GET_MORES]
            assert lent(recorder) == 0


@ferromongo_only
@both_drivers
async def test_a_loop_whose_body_uses_the_client(driver, mongodb_uri, mongodb_database_name):
    for most in (1, 2, 3):
        options = {"maxPoolSize": most, "waitQueueTimeoutMS": 60_000}
        async with driver.client(mongodb_uri, **options) as client:
            collection = client[mongodb_database_name].n
            seen = []
            outer = find(collection).read_ahead()
            async for document in outer:
                seen.append((await collection.find_one({"_id": document["_id"]}))["_id"])
                async for other in find(collection).read_ahead():
                    await collection.find_one(other)
                    if other["_id"] > 6:
                        break
            assert seen == NUMBERS


@ferromongo_only
@both_drivers
async def test_many_loops_at_once_do_not_starve_each_other(
    driver, mongodb_uri, mongodb_database_name
):
    options = {"maxPoolSize": 3, "waitQueueTimeoutMS": 60_000}
    async with driver.client(mongodb_uri, **options) as client:
        collection = client[mongodb_database_name].n

        async def loop():
            seen = []
            async for document in find(collection).read_ahead():
                seen.append((await collection.find_one({"_id": document["_id"]}))["_id"])
            return seen

        jobs = [driver.start(loop) for _ in range(9)]
        assert [await job.result(120) for job in jobs] == [NUMBERS] * 9


@ferromongo_only
@both_drivers
async def test_no_batch_ahead_where_commands_must_follow_each_other(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].n

        async def one_by_one(cursor, count=COUNT):
            before = len(names(recorder))
            seen = []
            async for document in cursor:
                seen.append(document["_id"])
                assert len(names(recorder)) - before == 1 + (len(seen) - 1) // BATCH
            assert seen == NUMBERS[:count]

        async with client.start_session() as session:
            await one_by_one(find(collection, session=session).read_ahead())
            async with await session.start_transaction():
                await one_by_one(find(collection, session=session).read_ahead())
                cursor = find(collection, session=session)
                assert ids(await cursor.to_list()) == NUMBERS
        await one_by_one(find(collection, limit=BATCH).read_ahead(), BATCH)
        with package.timeout(60):
            await one_by_one(find(collection).read_ahead())
        await collection.database.create_collection("capped", capped=True, size=4096)
        capped = collection.database.capped
        await capped.insert_many([{"_id": n} for n in range(7)])
        tail = capped.find(batch_size=BATCH, cursor_type=CursorType.TAILABLE).read_ahead()
        await one_by_one(tail, 7)
        await tail.close()
    # The clock would run while the loop's body does.
    for name in ("timeoutMS", "socketTimeoutMS"):
        options = {name: 60_000, "event_listeners": [recorder]}
        async with driver.client(mongodb_uri, **options) as client:
            await one_by_one(find(client[mongodb_database_name].n).read_ahead())


OURS = contextvars.ContextVar("ours", default=None)


@both_drivers
async def test_each_event_comes_once_and_in_the_callers_context(
    driver, mongodb_uri, mongodb_database_name
):
    heard = []

    def hear(event):
        if event.command_name in ("find", "getMore"):
            heard.append((event, OURS.get(), threading.current_thread()))

    async with driver.client(mongodb_uri, event_listeners=[Commands(hear)]) as client:
        collection = client[mongodb_database_name].n
        OURS.set("the caller's")
        assert ids(await find(collection).to_list()) == NUMBERS
        assert {(context, thread) for _, context, thread in heard} == {
            ("the caller's", threading.current_thread())
        }
        pairs = [event for event, *_ in heard]
        assert [type(event).__name__ for event in pairs] == [
            "CommandStartedEvent",
            "CommandSucceededEvent",
        ] * 5
        for started, succeeded in zip(pairs[::2], pairs[1::2], strict=True):
            assert started.request_id == succeeded.request_id
        assert len({event.request_id for event in pairs}) == 5


@both_drivers
async def test_a_listener_that_uses_the_client(driver, mongodb_uri, mongodb_database_name):
    found = []
    with package.MongoClient(mongodb_uri, maxPoolSize=1) as other:
        inner = []

        def hear(event):
            if event.command_name == "getMore":
                inner.append(ids(find(other[mongodb_database_name].n)))

        async with driver.client(mongodb_uri, event_listeners=[Commands(hear)]) as client:
            cursor = find(client[mongodb_database_name].n)
            found = ids(await cursor.to_list())
    assert found == NUMBERS
    assert inner == [NUMBERS] * 8


class Refused(Exception):
    pass


class FromInt(TypeDecoder):
    bson_type = int

    def __init__(self, refuses):
        self.refuses = refuses

    def transform_bson(self, value):
        if value in self.refuses:
            raise Refused
        return value


@both_drivers
async def test_a_decoder_that_raises_with_a_batch_under_way(
    driver, mongodb_uri, mongodb_database_name
):
    for refused in (0, 3, 4, 5, 12, 22):
        recorder = Recorder()
        registry = TypeRegistry([FromInt({refused})])
        async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
            database = client[mongodb_database_name]
            strict = database.get_collection("n", CodecOptions(type_registry=registry))
            cursor = find(strict)
            with pytest.raises(InvalidBSON):
                await cursor.to_list()
            await until_all_are_back(driver, recorder)
            assert not cursor.alive
            assert ids(await find(database.n).to_list()) == NUMBERS
            cursor = await strict.aggregate([{"$sort": {"_id": 1}}], batchSize=BATCH)
            with pytest.raises(InvalidBSON):
                await cursor.to_list()
            await until_all_are_back(driver, recorder)
            await cursor.close()


@ferromongo_only
@both_drivers
async def test_left_early_its_connection_is_given_up(driver, mongodb_uri, mongodb_database_name):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].n
        for _ in range(3):
            cursor = find(collection).read_ahead()
            async for _ in cursor:
                break
            await cursor.close()
            assert lent(recorder) == 0
            assert ids([document async for document in cursor]) == NUMBERS[1:BATCH]
        await cursor.rewind()
        assert ids([document async for document in cursor]) == NUMBERS
        assert names(recorder).count("killCursors") == 3
