"""Sessions on a real server: the prose tests of the sessions and causal consistency specifications,
sessions as decorators, the list of the server's sessions, snapshots at a given time."""

import asyncio
import inspect

import pytest
from bson import Timestamp
from pymongo.errors import ConfigurationError, InvalidOperation, OperationFailure
from tests.drivers import both_drivers, eventually, ferromongo_only, package
from tests.listeners import Recorder


def session_ids(recorder, name=None):
    return [command["lsid"]["id"] for command in recorder.sent(name)]


# Server sessions.


@both_drivers
async def test_the_session_given_back_last_is_taken_first(driver, mongodb_uri):
    async with driver.client(mongodb_uri) as client:
        await client.admin.command("ping")
        first, second = client.start_session(), client.start_session()
        one, two = first.session_id, second.session_id
        await first.end_session()
        await second.end_session()
        again, then = client.start_session(), client.start_session()
        assert [again.session_id, then.session_id] == [two, one]
        with pytest.raises(InvalidOperation, match="ended session"):
            first.session_id  # noqa: B018


@both_drivers
async def test_an_implicit_session_is_taken_with_the_connection(
    driver, mongodb_uri, mongodb_database_name
):
    """Operations that wait for the only connection do not each hold a server session."""
    recorder = Recorder()
    options = {"maxPoolSize": 1, "event_listeners": [recorder]}
    async with driver.client(mongodb_uri, **options) as client:
        collection = client[mongodb_database_name].c

        async def write_and_read():
            await collection.insert_one({})
            await collection.find_one()
            await (await collection.aggregate([{"$limit": 1}])).to_list()

        jobs = [driver.start(write_and_read) for _ in range(8)]
        for job in jobs:
            await job.result()
    names = ("insert", "find", "aggregate")
    # Mostly one: a connection may be lent again just before its session is given back.
    assert len({session_id for name in names for session_id in session_ids(recorder, name)}) < 8


@both_drivers
async def test_a_cursor_keeps_its_implicit_session_until_it_is_exhausted(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{} for _ in range(5)])
        cursor = collection.find(batch_size=3)
        await cursor.next()
        await client.admin.command("ping")
        await cursor.to_list()
        await client.admin.command("ping")
    (found,) = session_ids(recorder, "find")
    assert session_ids(recorder, "getMore") == [found]
    assert [pinged == found for pinged in session_ids(recorder, "ping")] == [False, True]


@both_drivers
async def test_a_closed_client_ends_its_sessions_ten_thousand_at_a_time(driver, mongodb_uri):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        await client.admin.command("ping")
        sessions = [client.start_session() for _ in range(10_001)]
        assert len({bytes(session.session_id["id"]) for session in sessions}) == 10_001
        for session in sessions:
            await session.end_session()
    ended = [command["endSessions"] for command in recorder.sent("endSessions")]
    assert [len(ids) for ids in ended] == [10_000, 1]


@both_drivers
async def test_a_session_belongs_to_its_client_and_needs_answers(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri) as client, driver.client(mongodb_uri) as other:
        collection = client[mongodb_database_name].c
        async with other.start_session() as session:
            for call in (
                lambda: collection.insert_one({}, session=session),
                lambda: collection.find_one(session=session),
                lambda: collection.find(session=session).to_list(),
                lambda: collection.aggregate([], session=session),
                lambda: collection.create_index("a", session=session),
                lambda: client.admin.command("ping", session=session),
                lambda: client.list_database_names(session=session),
            ):
                with pytest.raises(InvalidOperation, match="that started it"):
                    await call()
        unacknowledged = collection.with_options(write_concern=package.WriteConcern(w=0))
        async with client.start_session() as session:
            with pytest.raises(ConfigurationError):
                await unacknowledged.insert_one({}, session=session)


@both_drivers
async def test_an_unacknowledged_write_has_no_implicit_session(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.with_options(write_concern=package.WriteConcern(w=0)).insert_one({})
        await collection.find_one()
    (write,) = recorder.sent("insert")
    assert "lsid" not in write
    assert len(session_ids(recorder, "find")) == 1


@both_drivers
async def test_many_reads_at_once_in_one_session(driver, mongodb_uri, mongodb_database_name):
    """Not what a session is for, but nothing breaks and no answer is mixed up."""
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(8)])
        async with client.start_session() as session:

            async def read(n):
                for _ in range(20):
                    assert await collection.find_one({"_id": n}, session=session) == {"_id": n}

            for job in [driver.start(read, n) for n in range(8)]:
                await job.result()
            assert session.operation_time is not None


@ferromongo_only  # PyMongo gives it back for others, although the server may still be busy with it
async def test_the_session_of_a_cancelled_command_is_not_used_again(
    mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    async with package.AsyncMongoClient(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        slow = asyncio.ensure_future(collection.find_one({"$where": "sleep(300) || true"}))
        while not recorder.sent("find"):
            await asyncio.sleep(0.01)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        await collection.find_one()
    cancelled, after = session_ids(recorder, "find")
    assert after != cancelled


# Times.


@both_drivers
async def test_every_command_carries_the_newest_cluster_time(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await client.admin.command("ping")
        # The handshake has brought one.
        assert "$clusterTime" in recorder.sent()[0]
        for call in (
            lambda: client.admin.command("ping"),
            lambda: collection.insert_one({}),
            lambda: collection.find_one(),
            lambda: collection.aggregate([]),
        ):
            recorder.events.clear()
            await call()
            (first,) = recorder.commands()[-1:]
            heard = first.reply["$clusterTime"]
            recorder.events.clear()
            await call()
            sent = recorder.sent()[0]["$clusterTime"]
            assert sent["clusterTime"] >= heard["clusterTime"]


@both_drivers
async def test_heartbeats_bring_no_cluster_time(driver, mongodb_replica_set, mongodb_uri):
    recorder = Recorder()
    options = {"heartbeatFrequencyMS": 500, "directConnection": True, "event_listeners": [recorder]}
    host = mongodb_replica_set.primary.address
    with package.MongoClient(mongodb_uri) as writer:
        async with driver.client(f"mongodb://{host}", **options) as client:
            heard = (await client.admin.command("ping"))["$clusterTime"]["clusterTime"]
            recorder.events.clear()
            writer.admin.command("appendOplogNote", data={"later": True})
            beats = (package.monitoring.ServerHeartbeatSucceededEvent,)
            await eventually(driver, lambda: len(recorder.of(*beats)) >= 2)
            await client.admin.command("ping")
    (ping,) = recorder.sent("ping")
    assert ping["$clusterTime"]["clusterTime"] == heard


@both_drivers
async def test_a_causally_consistent_session(driver, mongodb_uri, mongodb_database_name):
    recorder = Recorder()

    def concern_sent(name):
        return recorder.sent(name)[-1].get("readConcern")

    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        async with client.start_session() as session:
            assert session.operation_time is None
            await collection.find_one(session=session)
            assert concern_sent("find") is None
            assert session.operation_time == recorder.commands("find")[-1].reply["operationTime"]
            read = session.operation_time
            await collection.find_one(session=session)
            assert concern_sent("find") == {"afterClusterTime": read}
            with pytest.raises(OperationFailure):
                await collection.find_one({"$bad": 1}, session=session)
            failed = session.operation_time
            majority = collection.with_options(
                read_concern=package.read_concern.ReadConcern("majority")
            )
            await majority.find_one(session=session)
            assert concern_sent("find") == {"level": "majority", "afterClusterTime": failed}
        async with client.start_session(causal_consistency=True) as session:
            session.advance_operation_time(failed)
            session.advance_cluster_time({"clusterTime": Timestamp(1, 1)})
            assert session.cluster_time == {"clusterTime": Timestamp(1, 1)}
            await collection.find_one(session=session)
            assert concern_sent("find") == {"afterClusterTime": failed}
        async with client.start_session(causal_consistency=False) as session:
            await collection.find_one(session=session)
            await collection.find_one(session=session)
            assert concern_sent("find") is None
            assert session.operation_time is not None


@ferromongo_only  # PyMongo 4.20 does not have it yet
@both_drivers
async def test_a_snapshot_at_a_given_time(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        concern = package.WriteConcern("majority")
        collection = client[mongodb_database_name].get_collection("c", write_concern=concern)
        await collection.insert_one({"_id": 1})
        async with client.start_session(snapshot=True) as session:
            assert session.snapshot_time is None
            assert await collection.count_documents({}, session=session) == 1
            time = session.snapshot_time
            assert isinstance(time, Timestamp)
        await collection.insert_one({"_id": 2})
        async with client.start_session(snapshot=True, snapshot_time=time) as session:
            assert session.snapshot_time == time
            assert await collection.find(session=session).to_list() == [{"_id": 1}]
            assert session.snapshot_time == time
        async with client.start_session(snapshot=True) as session:
            assert await collection.count_documents({}, session=session) == 2
            assert session.snapshot_time > time


@ferromongo_only  # as above: PyMongo has no `snapshot_time`
@both_drivers
async def test_a_find_in_a_missing_collection_sets_no_snapshot_time(
    driver, mongodb_uri, mongodb_database_name
):
    """The reply contains no time, so the next read is the first that sets it."""
    async with driver.client(mongodb_uri) as client:
        concern = package.WriteConcern("majority")
        collection = client[mongodb_database_name].get_collection("c", write_concern=concern)
        async with client.start_session(snapshot=True) as session:
            assert await collection.find(session=session).to_list() == []
            assert session.snapshot_time is None
            await collection.insert_one({"_id": 1})
            assert await collection.find(session=session).to_list() == [{"_id": 1}]
            assert session.snapshot_time is not None
            await collection.insert_one({"_id": 2})
            assert await collection.find(session=session).to_list() == [{"_id": 1}]


@ferromongo_only
def test_the_time_of_a_snapshot_is_for_snapshots(client):
    with client.start_session() as session, pytest.raises(InvalidOperation, match="snapshot"):
        session.snapshot_time  # noqa: B018
    with client.start_session(snapshot=True) as session, pytest.raises(AttributeError):
        session.snapshot_time = Timestamp(1, 1)
    for snapshot in (False, None):
        with pytest.raises(ConfigurationError, match="snapshot=True"):
            client.start_session(snapshot=snapshot, snapshot_time=Timestamp(1, 1))
    with pytest.raises(TypeError, match="Timestamp"):
        client.start_session(snapshot=True, snapshot_time=3)


# Bound sessions.


@both_drivers
async def test_cursors_name_the_session_that_was_bound(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        session = client.start_session()
        async with session.bind():
            found = collection.find()
            await found.next()
            grouped = await collection.aggregate([])
            assert found.session.session_id == grouped.session.session_id == session.session_id
        assert session.has_ended


# As decorators.


@ferromongo_only
@both_drivers
async def test_a_decorated_function_gets_a_fresh_session(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        given = []

        @client.start_session(causal_consistency=False)
        async def insert(session, number, *, text="none"):
            given.append(session)
            await collection.insert_one({"_id": number, "text": text}, session=session)
            return text

        assert await insert(1, text="tea") == "tea"
        assert await insert(2) == "none"
        with pytest.raises(package.errors.DuplicateKeyError):
            await insert(2)
        assert await collection.count_documents({}) == 2
        assert [session.has_ended for session in given] == [True] * 3
        assert [session.options.causal_consistency for session in given] == [False] * 3
        assert len({id(session) for session in given}) == 3
    # Each was given back before the next was taken, and the decorating one never had one.
    assert len({*session_ids(recorder, "insert")}) == 1
    (ended,) = recorder.sent("endSessions")
    assert len(ended["endSessions"]) == 1


@ferromongo_only
def test_calls_within_calls_have_sessions_of_their_own(client):
    seen = []

    @client.start_session()
    def descend(session, depth):
        seen.append(session.session_id["id"])
        if depth:
            descend(depth - 1)
        assert not session.has_ended

    descend(2)
    assert len(set(seen)) == 3


@ferromongo_only
def test_a_decorated_function_looks_as_it_is_called(client):
    @client.start_session()
    def transfer(session, amount: int, *, to: str = "savings") -> bool:
        """Move money."""
        return session is not None

    assert (transfer.__name__, transfer.__doc__) == ("transfer", "Move money.")
    assert str(inspect.signature(transfer)) == "(amount: int, *, to: str = 'savings') -> bool"
    assert transfer(5) is True
    assert client.start_session()(lambda *arguments: len(arguments))(1, 2) == 3


@ferromongo_only
async def test_a_plain_function_decorated_in_the_async_api(async_client):
    """As `with_transaction` has it."""
    decorated = async_client.start_session()(lambda session, number: (session.has_ended, number))
    assert await decorated(1) == (False, 1)


@ferromongo_only
def test_an_async_callable_decorated_in_the_sync_api(client):
    class Job:
        async def __call__(self, session): ...

    with pytest.raises(TypeError, match="AsyncMongoClient"):
        client.start_session()(Job())()


@ferromongo_only
async def test_what_would_outlive_its_session_is_not_decorated(client, async_client):
    async def coroutine(session): ...

    def generator(session):
        yield

    async def async_generator(session):
        yield

    for decorate in (client.start_session(), async_client.start_session()):
        for function in (generator, async_generator):
            with pytest.raises(TypeError, match="generator"):
                decorate(function)
        with pytest.raises(TypeError, match="function"):
            decorate(3)
    with pytest.raises(TypeError, match="async function"):
        client.start_session()(coroutine)
    assert inspect.iscoroutinefunction(async_client.start_session()(coroutine))


# The server's list.


@ferromongo_only
@both_drivers
async def test_listed_sessions_can_be_used(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        database = client[mongodb_database_name]
        await database.create_collection("c")
        async with client.start_session() as known:
            await database.c.find_one(session=known)
            known_id = known.session_id["id"]
            listed = await database.list_sessions()
            ids = [session.listed["_id"]["id"] for session in listed]
            assert known_id in ids
            assert {*ids} <= {
                session.listed["_id"]["id"]
                for session in await client.list_sessions(all_users=True, comment="all")
            }
            # A transaction in one of them leaves those of others alone.
            await known.start_transaction()
            await database.c.insert_one({"_id": "known"}, session=known)
            listed = listed[:4]
            for number, session in enumerate(listed):
                await session.start_transaction()
                await database.c.insert_one({"_id": number}, session=session)
                await (session.abort_transaction() if number % 2 else session.commit_transaction())
            await known.commit_transaction()
        kept = {document["_id"] async for document in database.c.find()}
        assert kept == {"known", *range(0, len(listed), 2)}


@ferromongo_only
@both_drivers
async def test_sessions_that_servers_have_written_down(driver, mongodb_uri):
    async with driver.client(mongodb_uri) as client, client.start_session() as session:
        await client.admin.command("ping", session=session)
        await client.admin.command("refreshLogicalSessionCacheNow")
        for listed in (
            await client.list_sessions(local=False, session=session),
            await client.test.list_sessions(local=False, all_users=True),
        ):
            assert session.session_id["id"] in [found.listed["_id"]["id"] for found in listed]
