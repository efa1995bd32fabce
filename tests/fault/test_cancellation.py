"""Tasks cancelled in mid-operation: the connection is closed, the pool stays sound."""

import asyncio
import random

import pytest
from tests.drivers import AsyncDriver, eventually, package

driver = AsyncDriver()


async def test_a_cancelled_operation_closes_its_connection(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri(maxPoolSize=1)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        proxy.stall("find")
        task = asyncio.create_task(collection.find_one())
        await eventually(driver, lambda: proxy.seen["find"] == 1)
        (stalled,) = proxy.links_of("find")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(driver, lambda: not stalled.open)
        # The only slot of the pool is free again, and no stale reply waits in it.
        assert await asyncio.wait_for(collection.find_one(), 30) == {"_id": 1}


async def test_wait_for_ends_an_operation(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri()) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        proxy.stall("find")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(collection.find_one(), 0.2)
        assert await asyncio.wait_for(collection.find_one(), 30) == {"_id": 1}


async def test_a_cancelled_wait_for_a_connection_passes_its_turn_on(proxy, mongodb_database_name):
    async with package.AsyncMongoClient(proxy.uri(maxPoolSize=1)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        slow = asyncio.create_task(collection.find_one({"$where": "sleep(300) || true"}))
        await eventually(driver, lambda: proxy.seen["find"] == 1)
        waiting = [asyncio.create_task(collection.find_one()) for _ in range(10)]
        await asyncio.sleep(0.05)
        for task in waiting[:-1]:
            task.cancel()
        assert await slow == {"_id": 1}
        assert await asyncio.wait_for(waiting[-1], 30) == {"_id": 1}
        assert all(task.cancelled() for task in waiting[:-1])
    assert len(proxy.links_of("find")) == 1


async def test_operations_cancelled_at_random_moments(proxy, mongodb_database_name):
    choose = random.Random(0)
    async with package.AsyncMongoClient(proxy.uri(maxPoolSize=5)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(20)])

        async def check(n):
            assert await collection.find_one({"_id": n % 20}) == {"_id": n % 20}

        tasks = [asyncio.create_task(check(n)) for n in range(200)]
        for task in choose.sample(tasks, 100):
            await asyncio.sleep(choose.random() * 0.004)
            task.cancel()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
        assert any(result is None for result in results)
        assert any(isinstance(result, asyncio.CancelledError) for result in results)
        # All five places are to be had, at the same time, and answers belong to their questions.
        await asyncio.wait_for(asyncio.gather(*map(check, range(50))), 30)
        assert sum(link.open for link in proxy.links_of("find")) <= 5


async def test_a_cancelled_iteration_leaves_no_cursor_behind(
    client, async_client, mongodb_database_name
):
    collection = async_client[mongodb_database_name].c
    await collection.insert_many([{"_id": n} for n in range(1000)])
    comment = f"cancelled {mongodb_database_name}"

    async def read():
        async with collection.find(batch_size=2, comment=comment) as cursor:
            async for _ in cursor:
                await asyncio.sleep(0.001)

    def cursors_on_the_server():
        idle = {"$currentOp": {"idleCursors": True, "allUsers": True}}
        ours = {"$match": {"cursor.originatingCommand.comment": comment}}
        return list(client.admin.aggregate([idle, ours]))

    tasks = [asyncio.create_task(read()) for _ in range(5)]
    await eventually(driver, lambda: len(cursors_on_the_server()) > 0)
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    await eventually(driver, lambda: cursors_on_the_server() == [])
