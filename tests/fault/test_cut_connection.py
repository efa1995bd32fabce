"""A connection that breaks in the middle of a reply: what may be retried is, once, and at once."""

import pytest
from pymongo.errors import AutoReconnect
from tests.drivers import both_drivers, eventually, takes

# Before the first byte, within the message header, within the document.
WHERE = pytest.mark.parametrize("after", [0, 10, 40], ids=["unanswered", "header", "body"])


@WHERE
@both_drivers
async def test_a_read_is_retried(driver, after, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "x": "y" * 100})
        proxy.cut("find", after=after)
        with takes(0, 5):
            assert await collection.find_one({"_id": 1}) == {"_id": 1, "x": "y" * 100}
    assert proxy.seen["find"] == 2
    first, second = proxy.links_of("find")
    assert first is not second


@WHERE
@both_drivers
async def test_a_write_is_retried_and_done_once(driver, after, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "n": 0})
        proxy.cut("update", after=after)
        with takes(0, 5):
            result = await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
        assert result.modified_count == 1
        assert await collection.find_one({"_id": 1}) == {"_id": 1, "n": 1}
    assert proxy.seen["update"] == 2


@both_drivers
async def test_an_insert_is_retried_and_done_once(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        proxy.cut("insert", after=20)
        with takes(0, 5):
            result = await collection.insert_many([{"_id": n} for n in range(100)])
        assert result.inserted_ids == list(range(100))
        assert await collection.count_documents({}) == 100
    assert proxy.seen["insert"] == 2


@both_drivers
async def test_a_get_more_is_not_retried(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(10)])
        proxy.cut("getMore", after=30)
        seen = []

        async def read():
            async for document in collection.find().sort("_id").batch_size(4):
                seen.append(document["_id"])

        with pytest.raises(AutoReconnect):
            await read()
        assert seen == [0, 1, 2, 3]
        assert await collection.count_documents({}) == 10
    assert proxy.seen["getMore"] == 1


@both_drivers
async def test_without_retries_the_error_is_raised_and_the_client_goes_on(
    driver, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri(retryReads="false", retryWrites="false")) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        for command, operation in {
            "find": lambda: collection.find_one({"_id": 1}),
            "update": lambda: collection.update_one({"_id": 1}, {"$inc": {"n": 1}}),
        }.items():
            before = proxy.seen[command]
            proxy.cut(command, after=20)
            with takes(0, 5), pytest.raises(AutoReconnect):
                await operation()
            assert proxy.seen[command] == before + 1
            await operation()
        # The server had done what it could not report; the second update was asked for.
        assert await collection.find_one() == {"_id": 1, "n": 2}


@both_drivers
async def test_two_cuts_in_a_row_are_an_error(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        proxy.cut("find", after=20, times=2)
        with takes(0, 10), pytest.raises(AutoReconnect):
            await collection.find_one()
        assert proxy.seen["find"] == 2
        assert await collection.find_one() is None


@both_drivers
async def test_many_workers_under_cuts_count_right(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "n": 0})
        acknowledged, failed = [], []

        async def work():
            for _ in range(25):
                try:
                    await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
                    acknowledged.append(1)
                except AutoReconnect:  # hit twice
                    failed.append(1)

        workers = [driver.start(work) for _ in range(8)]
        for _ in range(6):
            proxy.cut("update", after=20)
            await driver.sleep(0.02)
        for worker in workers:
            await worker.result()
        counted = (await collection.find_one({"_id": 1}))["n"]
        assert len(acknowledged) <= counted <= len(acknowledged) + len(failed)
        assert len(acknowledged) + len(failed) == 200
    assert proxy.seen["update"] > 200 - len(failed)
    await eventually(driver, lambda: not proxy.open_links)
