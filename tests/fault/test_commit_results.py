"""A commit is called failed only if the transaction is not applied; else its result is unknown."""

import pytest
from pymongo.errors import OperationFailure, WaitQueueTimeoutError, WriteConcernError
from tests.drivers import APP, both_drivers, eventually, ferromongo_only, package

UNKNOWN = "UnknownTransactionCommitResult"


@ferromongo_only  # PyMongo's error says nothing of it, and its with_transaction raises that error
@both_drivers
async def test_a_wait_for_the_majority_that_was_interrupted(
    driver, fail, mongodb_uri, mongodb_database_name
):
    interrupted = {"code": 11601, "errmsg": "operation was interrupted"}
    async with driver.client(mongodb_uri, appName=APP) as client, client.start_session() as session:
        collection = client[mongodb_database_name].c

        async def insert(session):
            await collection.insert_one({}, session=session)

        with fail("commitTransaction", times=1, writeConcernError=interrupted):
            await session.start_transaction()
            await insert(session)
            with pytest.raises(WriteConcernError) as error:
                await session.commit_transaction()
            assert error.value.code == 11601
            assert error.value.has_error_label(UNKNOWN)
            await session.commit_transaction()
        with fail("commitTransaction", times=1, writeConcernError=interrupted) as fault:
            await session.with_transaction(insert)
        assert fault.hits == 1
        assert await collection.count_documents({}) == 2


@ferromongo_only  # PyMongo tells of the second error only, which says that nothing was done
@both_drivers
async def test_a_commit_that_was_done_before_it_was_refused(
    driver, fail, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri(appName=APP)) as client, client.start_session() as session:
        collection = client[mongodb_database_name].c
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        proxy.cut("commitTransaction", after=0)
        refused = pytest.raises(OperationFailure, match="failCommand")
        with fail("commitTransaction", skip=1, errorCode=13), refused as error:
            await session.commit_transaction()
        assert error.value.code == 13
        assert error.value.has_error_label(UNKNOWN)
        await session.commit_transaction()
        assert await collection.count_documents({}) == 1
        # One that was not sent before is refused for good.
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        refused = pytest.raises(OperationFailure, match="failCommand")
        with fail("commitTransaction", times=1, errorCode=13), refused as error:
            await session.commit_transaction()
        assert not error.value.has_error_label(UNKNOWN)
        await session.commit_transaction()


@ferromongo_only  # with PyMongo, the document stays locked for a minute
@both_drivers
async def test_a_transaction_whose_commit_was_never_sent_is_aborted(
    driver, fail, proxy, mongodb_uri, mongodb_database_name
):
    async with (
        driver.client(proxy.uri(appName=APP, maxPoolSize=1)) as client,
        driver.client(mongodb_uri) as other,
    ):
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})

        async def read():
            await collection.find_one()

        async with client.start_session() as session:
            await session.start_transaction()
            await collection.update_one({"_id": 1}, {"$set": {"a": 1}}, session=session)
            with fail("find", times=1, block=3):
                reading = driver.start(read)
                await eventually(driver, lambda: proxy.seen["find"] == 1)
                with pytest.raises(WaitQueueTimeoutError), package.timeout(0.3):
                    await session.commit_transaction()
            assert proxy.seen["commitTransaction"] == 0
        await reading.result()
        with package.timeout(30):
            await other[mongodb_database_name].c.update_one({"_id": 1}, {"$set": {"a": 2}})
        assert await other[mongodb_database_name].c.find_one() == {"_id": 1, "a": 2}
