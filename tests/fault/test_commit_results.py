"""A commit is called failed only if the transaction is not applied; else its result is unknown."""

import pytest
from pymongo.errors import OperationFailure, WriteConcernError
from tests.drivers import APP, both_drivers, ferromongo_only

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
