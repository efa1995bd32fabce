"""Overloaded servers: what they refuse is tried again after a growing, random pause."""

import asyncio
import time

import pytest
from pymongo.errors import NetworkTimeout, OperationFailure
from tests.drivers import APP, both_drivers, eventually, package, takes

REFUSED = {"errorCode": 2, "errorLabels": ["RetryableError", "SystemOverloadedError"]}


@both_drivers
@pytest.mark.parametrize("retries", [None, 1, 0])
async def test_retries_are_counted(driver, retries, fail, proxy, mongodb_database_name):
    options = {} if retries is None else {"maxAdaptiveRetries": retries}
    async with driver.client(proxy.uri(appName=APP, **options)) as client:
        with fail("find", **REFUSED), pytest.raises(OperationFailure):
            await client[mongodb_database_name].c.find_one()
    assert proxy.seen["find"] == 1 + (2 if retries is None else retries)
    assert len(proxy.links_of("find")) == 1, "the connection is as good as before"


async def find(client, collection):
    await collection.find_one()


async def insert(client, collection):
    await collection.insert_many([{}, {}])


async def delete(client, collection):
    await collection.delete_many({})


async def index(client, collection):
    await collection.create_index("x")


async def run(client, collection):
    await client.admin.command("ping")


async def out(client, collection):
    await collection.aggregate([{"$out": "other"}])


async def read_on(client, collection):
    assert len(await collection.find(batch_size=3).to_list()) == 4


async def commit(client, collection):
    async with client.start_session() as session, await session.start_transaction():
        await collection.insert_one({}, session=session)


CALLS = {
    "find": find,
    "insert": insert,
    "delete": delete,
    "createIndexes": index,
    "ping": run,
    "aggregate": out,
    "getMore": read_on,
    "commitTransaction": commit,
}


@both_drivers
@pytest.mark.parametrize("command", CALLS)
async def test_whatever_was_refused_is_retried(driver, command, fail, proxy, mongodb_database_name):
    """Also what is retried for no other reason: it has not run."""
    async with driver.client(proxy.uri(appName=APP)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(4)])
        proxy.forget()
        with fail(command, times=1, **REFUSED):
            await CALLS[command](client, collection)
        assert proxy.seen[command] == 2


@both_drivers
async def test_who_wants_no_retries_gets_none(driver, fail, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(appName=APP, retryReads="false")) as client:
        for command in ("find", "ping"):
            with fail(command, **REFUSED), pytest.raises(OperationFailure):
                await CALLS[command](client, client[mongodb_database_name].c)
    async with driver.client(proxy.uri(appName=APP, retryWrites="false")) as client:
        for command in ("delete", "createIndexes"):
            with fail(command, **REFUSED), pytest.raises(OperationFailure):
                await CALLS[command](client, client[mongodb_database_name].c)
    for command in ("find", "ping", "delete", "createIndexes"):
        assert proxy.seen[command] == 1


@both_drivers
async def test_a_transaction_begins_with_the_first_command_that_was_not_refused(
    driver, fail, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri(appName=APP)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        proxy.forget()
        async with client.start_session() as session:
            await session.start_transaction()
            with fail("insert", times=1, **REFUSED):
                await collection.insert_one({"_id": 1}, session=session)
            with fail("insert", times=1, **REFUSED):
                await collection.insert_one({"_id": 2}, session=session)
            with fail("commitTransaction", times=1, **REFUSED):
                await session.commit_transaction()
        assert await collection.count_documents({}) == 3
    begins = [command.get("startTransaction") for command in proxy.sent("insert")]
    assert begins == [True, True, None, None]
    # The commit that went through is the first: only a repeated one asks for a majority.
    commits = [command.get("writeConcern") for command in proxy.sent("commitTransaction")]
    assert commits == [None, None]


@both_drivers
async def test_a_get_more_that_is_given_up_closes_its_cursor(
    driver, fail, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri(appName=APP)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(4)])
        with fail("getMore", **REFUSED), pytest.raises(OperationFailure):
            await collection.find(batch_size=2).to_list()
        assert proxy.seen["getMore"] == 3
        await eventually(driver, lambda: proxy.seen["killCursors"] == 1)


@both_drivers
async def test_another_server_is_asked_if_that_is_wanted(
    driver, fail, mongodb_uri, mongodb_database_name
):
    async with driver.client(
        mongodb_uri, appName=APP, readPreference="primaryPreferred", enableOverloadRetargeting=True
    ) as client:
        collection = client[mongodb_database_name].c
        await collection.find_one()
        with fail("find", **REFUSED):  # the primary only
            await collection.find_one()


@both_drivers
async def test_no_pause_outlasts_the_time_limit(driver, fail, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(appName=APP, maxAdaptiveRetries=50)) as client:
        collection = client[mongodb_database_name].c
        await collection.find_one()  # connected
        with fail("find", **REFUSED), takes(0, 2):
            start = time.monotonic()
            with pytest.raises((OperationFailure, NetworkTimeout)) as raised, package.timeout(0.3):
                await collection.find_one()
    # A slow machine may still wait for a refusal when the time is up, but for no pause.
    assert raised.type is OperationFailure or time.monotonic() - start >= 0.3
    assert proxy.seen["find"] < 50


async def test_a_pause_can_be_cancelled(fail, proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri(appName=APP, maxAdaptiveRetries=99)) as client:
        collection = client[mongodb_database_name].c
        with fail("find", **REFUSED), takes(0, 3), pytest.raises(TimeoutError):
            await asyncio.wait_for(collection.find_one(), 0.5)
        await collection.find_one()
        (link,) = proxy.links_of("find")
        assert link.open, "nobody holds a connection while it waits"
