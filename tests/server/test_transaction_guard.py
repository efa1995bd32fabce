"""`transaction_guard`: operations beside a transaction that was started by hand are reported."""

import asyncio
import inspect
import logging
import threading
import warnings

import pytest
from pymongo.errors import InvalidOperation
from tests.drivers import both_drivers, ferromongo_only, package
from tests.listeners import Commands

if package.__name__ == "ferromongo":
    from ferromongo.transaction import atomic, outside_transaction

pytestmark = ferromongo_only
TEXT = "without a session while a transaction is in progress is not part of the transaction"


def reports(caplog):
    return [record for record in caplog.records if record.name == "ferromongo.transaction"]


def test_the_report_names_the_operation_and_the_line(mongodb_uri, mongodb_database_name, caplog):
    with package.MongoClient(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        collection.insert_one({"_id": 0})
        with client.start_session() as session, session.start_transaction():
            for n in range(1, 4):
                collection.insert_one({"_id": n})  # forgotten
                line = inspect.currentframe().f_lineno - 1
            collection.find_one({}, session=session)
        [report] = reports(caplog)
        assert report.levelno == logging.WARNING
        assert report.getMessage().startswith(f"insert_one() {TEXT}")
        assert report.getMessage().endswith(f"({__file__}:{line})")
        assert (report.pathname, report.lineno) == (__file__, line)
        # Unchanged programs go on as with PyMongo: what was forgotten was written.
        assert collection.count_documents({}) == 4


def test_the_line_of_an_await(mongodb_uri, mongodb_database_name, caplog):
    async def main():
        async with package.AsyncMongoClient(mongodb_uri) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 0})
            async with client.start_session() as session, await session.start_transaction():
                assert await collection.find().to_list() == [{"_id": 0}]
                line = inspect.currentframe().f_lineno - 1
                await collection.find_one({}, session=session)
        [report] = reports(caplog)
        assert (report.pathname, report.lineno) == (__file__, line)

    asyncio.run(main())


@both_drivers
async def test_each_kind_of_operation(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri, transaction_guard="error") as client:
        database = client[mongodb_database_name]
        collection = database.c
        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_one({"_id": 1}, session=session)
            operations = [
                lambda: collection.insert_many([{}]),
                lambda: collection.update_one({}, {"$set": {"a": 1}}),
                lambda: collection.bulk_write([package.InsertOne({})]),
                lambda: collection.find_one_and_delete({}),
                lambda: collection.count_documents({}),
                lambda: collection.distinct("a"),
                lambda: collection.find().to_list(),
                lambda: database.command("ping"),
                lambda: database.list_collection_names(),
                lambda: driver.gridfs("GridFSBucket", database).upload_from_stream("a", b""),
            ]
            for operation in operations:
                with pytest.raises(InvalidOperation, match=TEXT):
                    await operation()
            assert await collection.count_documents({}, session=session) == 1
            await session.commit_transaction()
            assert await collection.count_documents({}) == 1


@both_drivers
async def test_a_warning_is_given_once_for_each_line(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri, transaction_guard="warn") as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                async with client.start_session() as session:
                    await session.with_transaction(lambda session: collection.find_one())
    assert [type(each.message).__name__ for each in caught] == ["OutsideTransactionWarning"]
    assert str(caught[0].message).startswith(f"find_one() {TEXT}")


@both_drivers
async def test_what_is_no_mistake(driver, mongodb_uri, mongodb_database_name):
    async with (
        driver.client(mongodb_uri, transaction_guard="error") as client,
        driver.client(mongodb_uri, transaction_guard="error") as other,
        driver.client(mongodb_uri, transaction_guard="off") as unguarded,
    ):
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})

        async def find():
            await collection.find_one()

        async with client.start_session() as session:
            await session.start_transaction()
            await collection.find_one({}, session=session)
            await other[mongodb_database_name].c.find_one()  # another client
            await driver.start(find).result()  # another thread or task
            async with client.start_session().bind():
                await collection.find_one()  # a session of its own
            await session.abort_transaction()
            await collection.find_one()
        async with client.start_session() as session, session.bind(end_session=False):
            await session.start_transaction()
            await collection.find_one()
            await session.commit_transaction()
        async with unguarded.start_session() as session:
            await session.start_transaction()
            await unguarded[mongodb_database_name].c.find_one()
            await session.abort_transaction()
        session = client.start_session()
        await session.start_transaction()
        await session.end_session()
        await collection.find_one()


@both_drivers
async def test_two_transactions_at_a_time(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri, transaction_guard="error") as client:
        collection = client[mongodb_database_name].c
        first, second = client.start_session(), client.start_session()
        await first.start_transaction()
        await second.start_transaction()
        await second.abort_transaction()
        with pytest.raises(InvalidOperation, match=TEXT):
            await collection.find_one()
        await first.abort_transaction()
        await collection.find_one()
        await first.end_session()
        await second.end_session()


def test_what_is_outside_on_purpose_and_what_an_atomic_block_covers(
    mongodb_uri, mongodb_database_name
):
    options = {"transaction_guard": "error"}
    with (
        package.MongoClient(mongodb_uri, **options) as client,
        package.MongoClient(mongodb_uri, **options) as other,
    ):
        collection = client[mongodb_database_name].c
        collection.insert_one({"_id": 1})
        with client.start_session() as session, session.start_transaction():
            with outside_transaction(client):
                collection.find_one()
            with atomic(client):
                collection.find_one()
            with atomic(other):
                other[mongodb_database_name].c.find_one()
                with pytest.raises(InvalidOperation, match=TEXT):
                    collection.find_one()


def test_the_same_in_a_task(mongodb_uri, mongodb_database_name):
    async def main():
        async with package.AsyncMongoClient(mongodb_uri, transaction_guard="error") as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 1})
            async with client.start_session() as session, await session.start_transaction():
                with outside_transaction(client):
                    await collection.find_one()
                async with atomic(client):
                    await collection.find_one()
                with pytest.raises(InvalidOperation, match=TEXT):
                    await collection.find_one()

    asyncio.run(main())


def test_listeners_are_outside_on_purpose(mongodb_uri, mongodb_database_name):
    """They run in the caller's thread, in the middle of its transaction."""
    written = []

    def log(event):
        if event.command_name == "insert" and not written:
            written.append(event)
            written.append(client[mongodb_database_name].log.insert_one({"_id": 1}))

    listeners = [Commands(log)]
    with package.MongoClient(
        mongodb_uri, transaction_guard="error", event_listeners=listeners
    ) as client:
        collection = client[mongodb_database_name].c
        with client.start_session() as session, session.start_transaction():
            collection.insert_one({"_id": 1}, session=session)
            with pytest.raises(InvalidOperation, match=TEXT):
                collection.find_one()
        assert len(written) == 2
        assert client[mongodb_database_name].log.count_documents({}) == 1


def test_a_thread_with_a_copied_context_is_another_thread(mongodb_uri, mongodb_database_name):
    async def main():
        with package.MongoClient(mongodb_uri, transaction_guard="error") as client:
            collection = client[mongodb_database_name].c
            with client.start_session() as session, session.start_transaction():
                await asyncio.to_thread(collection.find_one)
                with pytest.raises(InvalidOperation, match=TEXT):
                    collection.find_one()

    asyncio.run(main())


def test_other_values_are_refused():
    with pytest.raises(ValueError, match=r"transaction_guard must be one of 'log', .*'maybe'"):
        package.MongoClient(transaction_guard="maybe", connect=False)


def test_a_session_that_was_dropped_is_not_kept(mongodb_uri):
    collected = threading.Event()
    with package.MongoClient(mongodb_uri) as client:
        session = client.start_session()
        session.start_transaction()

        class Watched:
            def __del__(self):
                collected.set()

        session.watched = Watched()
        del session
        assert collected.is_set()
