"""Servers that accept and do not answer: an error after the configured time, never a hang."""

import pytest
from pymongo.errors import NetworkTimeout, ServerSelectionTimeoutError
from tests.drivers import both_drivers, eventually, takes


@both_drivers
async def test_a_server_that_never_answers(driver, proxy):
    proxy.freeze()
    options = {"serverSelectionTimeoutMS": 500, "connectTimeoutMS": 300}
    async with driver.client(proxy.uri(**options)) as client:
        with takes(0.4, 5), pytest.raises(ServerSelectionTimeoutError):
            await client.admin.command("ping")
    assert proxy.links


@both_drivers
async def test_a_server_that_wakes_up_in_time(driver, proxy):
    proxy.freeze()
    async with driver.client(proxy.uri(connectTimeoutMS=300)) as client:

        async def ping():
            return await client.admin.command("ping")

        waiting = driver.start(ping)
        await driver.sleep(0.5)
        proxy.thaw()
        assert (await waiting.result())["ok"] == 1


@both_drivers
async def test_a_reply_that_never_comes(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(socketTimeoutMS=1000, retryReads="false")) as client:
        collection = client[mongodb_database_name].c
        proxy.stall("find")
        with takes(0.9, 8), pytest.raises(NetworkTimeout):
            await collection.find_one()
        (stalled,) = proxy.links_of("find")
        await eventually(driver, lambda: not stalled.open)
        assert await collection.find_one() is None


@both_drivers
async def test_a_reply_that_never_comes_is_asked_for_again(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(socketTimeoutMS=1000)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "n": 0})
        proxy.stall("update")
        with takes(0.9, 10):
            await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
        assert await collection.find_one() == {"_id": 1, "n": 1}
    assert proxy.seen["update"] == 2


@both_drivers
async def test_a_slow_query_that_times_out_harms_no_other_connection(
    driver, proxy, mongodb_database_name
):
    options = {"socketTimeoutMS": 2000, "retryReads": "false"}
    async with driver.client(proxy.uri(**options)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})

        async def slow(milliseconds):
            return await collection.find_one({"$where": f"sleep({milliseconds}) || true"})

        # Four connections that are in use at the same time.
        for job in [driver.start(slow, 150) for _ in range(4)]:
            assert await job.result() == {"_id": 1}
        connections = proxy.links_of("find")
        late = driver.start(slow, 5000)
        bystanders = [driver.start(slow, 300) for _ in range(3)]
        for job in bystanders:
            assert await job.result() == {"_id": 1}
        with pytest.raises(NetworkTimeout):
            await late.result()
        await eventually(driver, lambda: sum(link.open for link in connections) <= 3)
        for job in [driver.start(slow, 150) for _ in range(3)]:
            assert await job.result() == {"_id": 1}
        # The three others are alive and were used again: no new connection was needed.
        assert sum(link.open for link in connections) == 3
        assert proxy.links_of("find") == connections


@both_drivers
async def test_a_slow_line_is_only_slow(driver, proxy, mongodb_database_name):
    proxy.delay = 0.05
    async with driver.client(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        with takes(0.05, 5):
            assert await collection.find_one() == {"_id": 1}
    assert proxy.seen["find"] == 1
