"""Transactions on a real server: what an error says of the one before it, options and where they
come from, `with_transaction` with all kinds of callbacks, and what is left after cancellation."""

import asyncio
import functools

import pytest
from pymongo.client_session import TransactionOptions
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    WriteError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from tests.drivers import both_drivers, ferromongo_only, package
from tests.fault.proxy import Proxy
from tests.listeners import Recorder

timeout = package.timeout
WriteConcern = package.WriteConcern


@pytest.fixture
def proxy(mongodb_replica_set):
    with Proxy(mongodb_replica_set.primary.address) as proxy:
        yield proxy


def check_no_such_transaction(error):
    """As PyMongo has it."""
    assert type(error) is OperationFailure
    assert error.code == error.details["code"] == 251
    assert error.details["codeName"] == "NoSuchTransaction"
    assert error.has_error_label("TransientTransactionError")
    assert not error.has_error_label("UnknownTransactionCommitResult")


# Errors after the first.


@both_drivers
async def test_errors_in_an_aborted_transaction(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        async with client.start_session() as session:
            await session.start_transaction()
            with pytest.raises(DuplicateKeyError):
                await collection.insert_one({"_id": 1}, session=session)
            for call in (
                lambda: collection.insert_one({"_id": 2}, session=session),
                lambda: collection.find_one(session=session),
                session.commit_transaction,
            ):
                with pytest.raises(OperationFailure) as raised:
                    await call()
                check_no_such_transaction(raised.value)


async def insert_again(collection, session):
    await collection.insert_one({"_id": 1}, session=session)


async def insert_many_again(collection, session):
    await collection.insert_many([{"_id": 2}, {"_id": 1}], session=session)


async def update_wrongly(collection, session):
    await collection.update_one({"_id": 1}, {"$inc": {"text": 1}}, session=session)


async def find_wrongly(collection, session):
    await collection.find_one({"$nonsense": 1}, session=session)


async def find_and_modify_wrongly(collection, session):
    await collection.find_one_and_update({"_id": 1}, {"$inc": {"text": 1}}, session=session)


@ferromongo_only
@pytest.mark.parametrize(
    ("fail", "raised_first", "cause", "code"),
    [
        (insert_again, DuplicateKeyError, DuplicateKeyError, 11000),
        (insert_many_again, BulkWriteError, DuplicateKeyError, 11000),
        (update_wrongly, WriteError, WriteError, 14),
        (find_wrongly, OperationFailure, OperationFailure, 2),
        (find_and_modify_wrongly, OperationFailure, OperationFailure, 14),
    ],
)
@both_drivers
async def test_they_name_the_first(
    driver, mongodb_uri, mongodb_database_name, fail, raised_first, cause, code
):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "text": "a"})
        async with client.start_session() as session:
            for commits in (True, False):
                await session.start_transaction()
                with pytest.raises(raised_first) as first:
                    await fail(collection, session)
                assert type(first.value) is raised_first
                assert first.value.__cause__ is None
                causes = []
                with pytest.raises(OperationFailure) as second:
                    await collection.update_one({}, {"$set": {"x": 1}}, session=session)
                causes.append(second.value.__cause__)
                if commits:
                    with pytest.raises(OperationFailure) as third:
                        await session.commit_transaction()
                    causes.append(third.value.__cause__)
                else:
                    await session.abort_transaction()
                for error in causes:
                    assert type(error) is cause
                    assert error.code == code
                    assert error.details["errmsg"] in str(error)
                    if cause is raised_first:
                        assert error.details.keys() == first.value.details.keys()
            # The next transaction knows nothing of it.
            await session.start_transaction()
            await collection.insert_one({"_id": 3}, session=session)
            await session.commit_transaction()


@ferromongo_only
@both_drivers
async def test_a_lost_connection_is_named_too(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        async with client.start_session() as session:
            await session.start_transaction()
            proxy.cut("insert", after=0)
            with pytest.raises(AutoReconnect) as first:
                await collection.insert_one({"_id": 2}, session=session)
            assert first.value.has_error_label("TransientTransactionError")
            async with driver.client(proxy.uri()) as other:
                command = {"killSessions": [dict(session.session_id)]}
                await other.admin.command(command)
            with pytest.raises(OperationFailure) as second:
                await collection.find_one(session=session)
            check_no_such_transaction(second.value)
            assert type(second.value.__cause__) is AutoReconnect
            assert str(second.value.__cause__) == str(first.value)


@both_drivers
async def test_what_was_never_sent_aborts_nothing(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        database = client[mongodb_database_name]
        await database.create_collection("c")
        async with client.start_session() as session, await session.start_transaction():
            await database.c.insert_one({"_id": 1}, session=session)
            with pytest.raises(Exception, match="encode"):
                await database.c.insert_one({"_id": object()}, session=session)
            with pytest.raises(InvalidOperation, match="must be primary"):
                await database.command(
                    "ping", session=session, read_preference=ReadPreference.SECONDARY
                )
            await database.c.insert_one({"_id": 2}, session=session)
        assert await database.c.count_documents({}) == 2


@ferromongo_only  # PyMongo's next statement is one of a transaction that the server does not know
@both_drivers
async def test_a_first_statement_too_large_to_be_sent(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        collection = await client[mongodb_database_name].create_collection("c")
        async with client.start_session() as session, await session.start_transaction():
            for call in (collection.find_one, collection.delete_one):
                with pytest.raises(DocumentTooLarge):
                    await call({"x": "x" * 17_000_000}, session=session)
            await collection.insert_one({"_id": 1}, session=session)
        assert await collection.count_documents({}) == 1


# Options.


@both_drivers
async def test_options_come_from_the_call_then_the_session_then_the_client(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    of_client = {"readConcernLevel": "local", "w": 1, "event_listeners": [recorder]}

    def sent(name, key):
        return recorder.sent(name)[-1].get(key)

    async with driver.client(mongodb_uri, **of_client) as client:
        database = client[mongodb_database_name]
        await database.create_collection("c")
        # What the collection says does not count within a transaction.
        collection = database.get_collection(
            "c", write_concern=WriteConcern(w=0), read_concern=ReadConcern("available")
        )
        of_session = TransactionOptions(
            ReadConcern("snapshot"), WriteConcern("majority"), max_commit_time_ms=4000
        )
        of_call = {
            "read_concern": ReadConcern("majority"),
            "write_concern": WriteConcern(w=2),
            "max_commit_time_ms": 5000,
        }
        for defaults, given, level, concern, limit in (
            (None, {}, "local", {"w": 1}, None),
            (of_session, {}, "snapshot", {"w": "majority"}, 4000),
            (of_session, of_call, "majority", {"w": 2}, 5000),
        ):
            start = client.start_session(
                causal_consistency=False, default_transaction_options=defaults
            )
            async with start as session:
                await session.start_transaction(**given)
                await collection.insert_one({}, session=session)
                assert sent("insert", "readConcern") == {"level": level}
                assert sent("insert", "writeConcern") is None
                await collection.find_one(session=session)
                assert sent("find", "readConcern") is None
                await session.commit_transaction()
                assert sent("commitTransaction", "writeConcern") == concern
                assert sent("commitTransaction", "maxTimeMS") == limit
                await session.commit_transaction()
                again = sent("commitTransaction", "writeConcern")
                assert again == {"w": "majority", "wtimeout": 10000}


@both_drivers
async def test_reads_in_a_transaction_go_to_the_primary(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri, readPreference="secondary") as client:
        primary = client.get_database(mongodb_database_name, read_preference=ReadPreference.PRIMARY)
        await primary.c.insert_one({"_id": 1})
        async with client.start_session() as session:
            # The client's own preference is inherited, and refused at the first read.
            await session.start_transaction()
            with pytest.raises(InvalidOperation, match="must be primary"):
                await primary.c.find_one(session=session)
            await session.abort_transaction()
            await session.start_transaction(read_preference=ReadPreference.PRIMARY)
            found = await client[mongodb_database_name].c.find_one(session=session)
            assert found == {"_id": 1}
            assert (await primary.command("find", "c", session=session))["ok"] == 1
            await session.commit_transaction()


@both_drivers
async def test_a_collection_is_created_in_the_transaction_of_a_bound_session(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri) as client:
        database = client[mongodb_database_name]
        session = client.start_session()
        async with session.bind():
            await session.start_transaction()
            await database.create_collection("c")
            await session.commit_transaction()
        assert await database.list_collection_names() == ["c"]


@both_drivers
async def test_the_end_of_a_session_aborts(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_one({}, session=session)
        assert session.has_ended
        assert proxy.seen["abortTransaction"] == 1
        with pytest.raises(InvalidOperation, match="ended session"):
            await session.start_transaction()
        assert await collection.count_documents({}) == 1


# with_transaction.


@both_drivers
async def test_what_callbacks_may_return(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})

        async def insert(session, number):
            await collection.insert_one({"_id": number}, session=session)
            return number

        async with client.start_session() as session:
            assert await session.with_transaction(functools.partial(insert, number=1)) == 1

            async def fails(session):
                await insert(session, 2)
                raise KeyError("mine")

            with pytest.raises(KeyError, match="mine"):
                await session.with_transaction(fails)

            async def ends_it(session):
                await insert(session, 3)
                await session.abort_transaction()
                return "ended"

            assert await session.with_transaction(ends_it) == "ended"
        assert await collection.count_documents({}) == 2


@pytest.mark.parametrize("code", [64, 134, 10107])
@both_drivers
async def test_a_commit_is_sent_again_without_the_servers_label(
    driver, code, mongodb_uri, mongodb_database_name, mongodb_replica_set
):
    async with driver.client(mongodb_uri) as client:
        collection = client[mongodb_database_name].c

        async def insert(session):
            await collection.insert_one({"_id": 1}, session=session)

        how = {"failCommands": ["commitTransaction"], "errorCode": code, "errorLabels": []}
        with mongodb_replica_set.failpoint(**how, times=3) as failing:
            async with client.start_session() as session:
                await session.with_transaction(insert)
        assert failing.hits == 3
        assert await collection.count_documents({}) == 1


@ferromongo_only  # PyMongo awaits whatever a callback of its async API returns
async def test_a_plain_callback_in_the_async_api(async_client):
    async with async_client.start_session() as session:
        assert await session.with_transaction(lambda session: session.in_transaction) is True

        def answers_a_future(session):
            future = asyncio.get_running_loop().create_future()
            future.set_result(session.in_transaction)
            return future

        assert await session.with_transaction(answers_a_future) is True


@ferromongo_only  # with PyMongo it commits nothing and says so only by a warning
def test_an_async_callback_in_the_sync_api(client):
    async def callback(session): ...

    with client.start_session() as session:
        with pytest.raises(TypeError, match="AsyncMongoClient"):
            session.with_transaction(callback)
        assert not session.in_transaction


@both_drivers
async def test_a_time_limit_within_the_callback(driver, proxy, mongodb_database_name):
    """It ends an attempt, not the whole: the error is a transient one."""
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        proxy.stall("insert")
        attempts = []

        async def insert(session):
            attempts.append(session)
            with timeout(1):
                await collection.insert_one({"_id": 1}, session=session)

        async with client.start_session() as session:
            await session.with_transaction(insert)
        assert len(attempts) == 2
        assert await collection.count_documents({"_id": 1}) == 1


@both_drivers
async def test_a_limit_of_no_time(driver, mongodb_uri, mongodb_database_name, monkeypatch):
    """Each kind of error, once the time to try again is over: prose tests 1 to 3."""
    from pymongo import client_session_shared

    monkeypatch.setattr(client_session_shared, "_WITH_TRANSACTION_RETRY_TIME_LIMIT", 0)
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({})
        recorder.events.clear()
        reply = {"code": 251, "errorLabels": ["TransientTransactionError"]}

        async def fail(session):
            await collection.insert_one({}, session=session)
            raise OperationFailure("aborted", 251, reply)

        async with client.start_session() as session:
            with pytest.raises(NetworkTimeout, match="aborted") as raised:
                await session.with_transaction(fail)
        assert raised.value.has_error_label("TransientTransactionError")
        assert raised.value.__cause__.details is reply
    assert [next(iter(command)) for command in recorder.sent()] == [
        "insert",
        "abortTransaction",
        "endSessions",
    ]


# Cancelled.


@pytest.mark.parametrize("abort_is_cancelled_too", [False, True])
async def test_a_cancelled_transaction_is_aborted(
    proxy, mongodb_database_name, abort_is_cancelled_too
):
    if package.__name__ == "pymongo" and abort_is_cancelled_too:
        pytest.skip("PyMongo leaves the transaction, and its locks, to the server for a minute")
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "n": 0})
        begun = asyncio.Event()

        async def update(session):
            await collection.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
            proxy.stall("find")
            begun.set()
            await collection.find_one(session=session)

        async with client.start_session() as session:
            task = asyncio.ensure_future(session.with_transaction(update))
            await begun.wait()
            while proxy.seen["find"] == 0:
                await asyncio.sleep(0.01)
            if abort_is_cancelled_too:
                proxy.stall("abortTransaction")
            task.cancel()
            if abort_is_cancelled_too:
                while proxy.seen["abortTransaction"] == 0:
                    await asyncio.sleep(0.01)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not session.in_transaction
            # Its lock is free, and the session as good as ever.
            with timeout(20):
                await collection.update_one({"_id": 1}, {"$inc": {"n": 10}})
                async with await session.start_transaction():
                    await collection.update_one({"_id": 1}, {"$inc": {"n": 100}}, session=session)
        assert await collection.find_one() == {"_id": 1, "n": 110}


@ferromongo_only
async def test_an_abort_that_is_given_up_is_sent_later(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        session = client.start_session()
        await session.start_transaction()
        await collection.update_one({"_id": 1}, {"$set": {"n": 1}}, session=session)
        proxy.stall("abortTransaction")
        task = asyncio.ensure_future(session.end_session())
        while proxy.seen["abortTransaction"] == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.has_ended
        while proxy.seen["abortTransaction"] < 2:
            await asyncio.sleep(0.01)
        first, second = proxy.sent("abortTransaction")
        assert (first["lsid"], first["txnNumber"]) == (second["lsid"], second["txnNumber"])
