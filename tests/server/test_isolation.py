"""What others see of an operation or a transaction under way, and what it sees of theirs.

The observations of the tutorial on isolation levels in FERROMONGO_SEEDS (003), in its order.
"""

import contextlib
import functools

import pymongo
import pytest
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError, OperationFailure
from tests.drivers import both_drivers


@pytest.fixture
def opened(driver, mongodb_uri, mongodb_database_name):
    """`async with opened(3) as (client, collection)`: the collection has the items 1, 2 and 3."""

    @contextlib.asynccontextmanager
    async def opened(count):
        async with driver.client(mongodb_uri) as client:
            collection = client[mongodb_database_name].items
            if count:
                await collection.insert_many({"_id": n, "item": n} for n in range(1, count + 1))
            yield client, collection

    return opened


@pytest.fixture
def parameters(mongodb_uri):
    """Sets parameters of the primary, for the length of a test."""
    with pymongo.MongoClient(mongodb_uri) as client, contextlib.ExitStack() as restore:

        def put(**values):
            for name, value in values.items():
                before = client.admin.command({"setParameter": 1, name: value})["was"]
                restore.callback(client.admin.command, {"setParameter": 1, name: before})

        yield put


@both_drivers
async def test_a_cursor_gives_out_what_it_has_fetched(driver, opened):
    async with opened(200) as (_, collection):
        cursor = collection.find()  # the server's first batch has 101 documents
        seen = [(await anext(cursor))["item"] for _ in range(20)]
        await collection.delete_one({"item": 38})
        seen += [document["item"] async for document in cursor]
        assert seen == list(range(1, 201))


YIELDING = {
    "by count": {},
    "by time": {
        "internalQueryExecYieldIterations": 99_999_999,
        "internalQueryExecYieldPeriodMS": 1,
    },
}


@pytest.mark.parametrize("how", YIELDING)
@both_drivers
async def test_a_cursor_that_goes_on_sees_later_deletions(driver, how, opened, parameters):
    parameters(**YIELDING[how])
    async with opened(2500) as (_, collection):
        cursor = collection.find(batch_size=1000)
        seen = [(await anext(cursor))["item"] for _ in range(1000)]
        await collection.delete_one({"item": 1995})
        seen += [document["item"] async for document in cursor]
        assert seen == [n for n in range(1, 2501) if n != 1995]


@both_drivers
async def test_the_cursors_of_a_snapshot_session_see_no_later_changes(driver, opened):
    async with opened(2500) as (client, collection), client.start_session(snapshot=True) as session:
        cursor = collection.find(batch_size=1000, session=session)
        seen = [(await anext(cursor))["item"] for _ in range(1000)]
        await collection.delete_one({"item": 1995})
        await collection.insert_one({"_id": 3000, "item": 3000})
        seen += [document["item"] async for document in cursor]
        assert seen == list(range(1, 2501))
        assert await collection.count_documents({"item": 1995}) == 0
        later = collection.aggregate([{"$match": {"item": {"$gt": 1990}}}], session=session)
        assert [document["item"] async for document in await later] == list(range(1991, 2501))
        async with client.start_session(snapshot=True) as another:
            assert await collection.find_one({"item": 1995}, session=another) is None


@pytest.mark.parametrize("snapshot", [False, True])
@both_drivers
async def test_a_scan_that_yields_goes_on_in_the_present(
    driver, snapshot, opened, parameters, mongodb_replica_set
):
    """Within one command: the server holds the scan where it yields, after 1000 documents."""
    parameters(internalQueryExecYieldIterations=1000, internalQueryExecYieldPeriodMS=60_000)
    async with opened(1500) as (client, collection), contextlib.AsyncExitStack() as stack:
        session = None
        if snapshot:
            session = await stack.enter_async_context(client.start_session(snapshot=True))

        async def scan():
            cursor = collection.find({"item": {"$gt": 0}}, batch_size=2000, session=session)
            return [document["item"] async for document in cursor]

        data = {"namespace": f"{collection.database.name}.{collection.name}"}
        hang = mongodb_replica_set.failpoint("setYieldAllLocksHang", data=data)
        with hang:
            job = driver.start(scan)
            await driver.blocking(hang.wait)
            await collection.delete_one({"_id": 1400})
        expected = set(range(1, 1501)) - (set() if snapshot else {1400})
        assert set(await job.result()) == expected


@both_drivers
async def test_a_transaction_reads_from_one_snapshot(driver, opened):
    async with opened(5) as (client, collection), client.start_session() as session:
        async with await session.start_transaction():
            everything = functools.partial(items, collection)
            assert await everything(session=session) == [1, 2, 3, 4, 5]
            await collection.delete_one({"item": 3})
            await collection.insert_one({"_id": 6, "item": 6})
            assert await everything(session=session) == [1, 2, 3, 4, 5]
            assert await everything() == [1, 2, 4, 5, 6]
        assert await everything(session=session) == [1, 2, 4, 5, 6]


@both_drivers
async def test_a_transaction_that_lives_too_long_is_aborted(driver, opened, parameters):
    parameters(transactionLifetimeLimitSeconds=1)
    async with opened(5) as (client, collection), client.start_session() as session:
        await session.start_transaction()
        await collection.delete_one({"item": 1}, session=session)
        await collection.delete_one({"item": 3})

        async def read_on():
            while True:
                assert await items(collection, session=session) == [2, 3, 4, 5]
                await driver.sleep(0.1)

        with pytest.raises(OperationFailure, match="has been aborted") as aborted:
            await read_on()
        assert aborted.value.code == 251
        assert aborted.value.has_error_label("TransientTransactionError")
        assert session.in_transaction
        with pytest.raises(OperationFailure, match="has been aborted"):
            await items(collection, session=session)
        with pytest.raises(OperationFailure, match="has been aborted"):
            await session.commit_transaction()
        assert await items(collection, session=session) == [1, 2, 4, 5]


@both_drivers
async def test_what_was_sorted_in_memory_sees_no_later_deletions(driver, opened):
    async with opened(2500) as (_, collection):
        cursor = collection.find(batch_size=1000).sort("item", ASCENDING)
        seen = [(await anext(cursor))["item"] for _ in range(1000)]
        await collection.delete_one({"item": 1995})
        seen += [document["item"] async for document in cursor]
        assert seen == list(range(1, 2501))


@both_drivers
async def test_what_was_written_before_a_statement_failed_stays(driver, opened):
    async with opened(0) as (_, collection):
        await collection.create_index("col", unique=True)
        await collection.insert_one({"_id": 3, "col": "C"})
        with pytest.raises(BulkWriteError) as error:
            await collection.insert_many(THREE)
        assert error.value.details["nInserted"] == 2
        [failure] = error.value.details["writeErrors"]
        assert (failure["index"], failure["code"]) == (2, 11000)
        assert failure["keyValue"] == {"_id": 3}
        assert [document async for document in collection.find().sort("_id")] == THREE


@both_drivers
async def test_in_a_transaction_nothing_of_a_failed_statement_stays(driver, opened):
    async with opened(0) as (client, collection), client.start_session() as session:
        await collection.insert_one({"_id": 3, "col": "C"})
        with pytest.raises(BulkWriteError):
            async with await session.start_transaction():
                await collection.insert_many(THREE, session=session)
        assert [document["_id"] async for document in collection.find()] == [3]


@pytest.mark.parametrize("commit", [True, False])
@both_drivers
async def test_collections_are_made_in_transactions(driver, commit, opened):
    async with opened(0) as (client, collection), client.start_session() as session:
        database = collection.database
        await session.start_transaction()
        await database.implicit.insert_one({"col": "A"}, session=session)
        await database.create_collection("explicit", session=session)
        await database.explicit.create_index("col", name="by_col", session=session)
        assert await database.list_collection_names() == []
        assert await database.implicit.find_one() is None
        if commit:
            await session.commit_transaction()
            assert set(await database.list_collection_names()) == {"explicit", "implicit"}
            assert (await database.implicit.find_one())["col"] == "A"
            assert set(await database.explicit.index_information()) == {"_id_", "by_col"}
        else:
            await session.abort_transaction()
            assert await database.list_collection_names() == []


@both_drivers
async def test_a_write_conflict_in_the_core_api_is_raised(driver, opened):
    async with opened(0) as (client, collection):
        await collection.insert_many(THREE)
        async with client.start_session() as one, client.start_session() as other:
            await one.start_transaction()
            await collection.update_one({"_id": 3}, SET_D, session=one)
            assert (await collection.find_one({"_id": 3}, session=one))["col"] == "D"
            await other.start_transaction()
            assert (await collection.find_one({"_id": 3}, session=other))["col"] == "C"
            with pytest.raises(OperationFailure, match=r"(?i)write ?conflict") as conflict:
                await collection.update_one({"_id": 3}, SET_E, session=other)
            assert conflict.value.code == 112
            assert conflict.value.has_error_label("TransientTransactionError")
            # The server has aborted it; the session has not been told to.
            assert other.in_transaction
            with pytest.raises(OperationFailure, match="has been aborted"):
                await collection.find_one({"_id": 1}, session=other)
            await other.abort_transaction()
            await one.commit_transaction()
        assert (await collection.find_one({"_id": 3}))["col"] == "D"


@both_drivers
async def test_the_callback_api_tries_until_the_other_transaction_has_committed(driver, opened):
    async with opened(0) as (client, collection), client.start_session() as one:
        await collection.insert_many(THREE)
        await one.start_transaction()
        await collection.update_one({"_id": 3}, SET_D, session=one)
        found = []

        async def update(session):
            found.append((await collection.find_one({"_id": 3}, session=session))["col"])
            await collection.update_one({"_id": 3}, SET_E, session=session)
            return (await collection.find_one({"_id": 3}, session=session))["col"]

        async def work():
            async with client.start_session() as session:
                return await session.with_transaction(update)

        job = driver.start(work)
        while len(found) < 4:
            await driver.sleep(0.01)
        await one.commit_transaction()
        assert await job.result() == "E"
        assert found.count("D") == 1
        assert found[-1] == "D"
        assert set(found[:-1]) == {"C"}
        assert (await collection.find_one({"_id": 3}))["col"] == "E"


@both_drivers
async def test_a_write_outside_of_transactions_waits_for_the_one_before_it(driver, opened):
    async with opened(0) as (client, collection), client.start_session() as session:
        await collection.insert_many(THREE)
        await session.start_transaction()
        await collection.update_one({"_id": 3}, SET_D, session=session)

        async def update():
            return await collection.update_one({"_id": 3}, SET_E)

        job = driver.start(update)
        namespace = f"{collection.database.name}.{collection.name}"
        in_conflict = {"ns": namespace, "writeConflicts": {"$gte": 3}}
        while not [1 async for _ in await client.admin.aggregate([NOW, {"$match": in_conflict}])]:
            await driver.sleep(0.01)
        await session.commit_transaction()
        assert (await job.result()).modified_count == 1
        assert (await collection.find_one({"_id": 3}))["col"] == "E"


@both_drivers
async def test_a_transaction_may_be_larger_than_an_oplog_entry(driver, opened):
    async with opened(0) as (client, collection), client.start_session() as session:
        async with await session.start_transaction():
            megabyte = b"x" * 1_000_000
            await collection.insert_many([{"data": megabyte} for _ in range(18)], session=session)
            entries = {"lsid.id": session.session_id["id"], "txnNumber": {"$exists": True}}
        assert await collection.count_documents({}) == 18
        # Each holds 16 MB at most.
        assert await client.local["oplog.rs"].count_documents(entries) > 1


async def items(collection, **options):
    return [document["item"] async for document in collection.find(**options)]


THREE = [{"_id": 1, "col": "A"}, {"_id": 2, "col": "B"}, {"_id": 3, "col": "C"}]
NOW = {"$currentOp": {}}
SET_D = {"$set": {"col": "D"}}
SET_E = {"$set": {"col": "E"}}
