"""Listeners see the batches of raw cursors as the caller gets them: one value of bytes."""

import pymongo
import pytest
from tests.drivers import AsyncDriver, Awaitable, SyncDriver
from tests.listeners import Recorder

import ferromongo

NAME = "raw_batch_events"


@pytest.fixture(scope="module", autouse=True)
def documents(mongodb_uri):
    with pymongo.MongoClient(mongodb_uri) as client:
        client[NAME].x.insert_many([{"_id": number, "a": "x" * number} for number in range(7)])
        yield
        client.drop_database(NAME)


async def replies(package, driver, uri):
    """The cursors in the replies to the commands of raw cursors, and of one that is not raw."""
    recorder = Recorder()
    made = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, made)(uri, event_listeners=[recorder])
    async with Awaitable(client) if driver.name == "sync" else client as client:
        collection = client[NAME].x
        await collection.find_raw_batches(batch_size=3).to_list()
        await collection.find_raw_batches({"_id": -1}).to_list()
        await (await collection.aggregate_raw_batches([], batchSize=4)).to_list()
        await collection.find(batch_size=5).to_list()
    ends = recorder.of(pymongo.monitoring.CommandSucceededEvent)
    return [
        (end.command_name, {**end.reply["cursor"], "id": bool(end.reply["cursor"]["id"])})
        for end in ends
        if "cursor" in end.reply
    ]


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
def test_the_same_replies(driver_class, mongodb_uri):
    driver = driver_class()
    theirs, ours = (
        driver.run(replies(package, driver, mongodb_uri)) for package in (pymongo, ferromongo)
    )
    assert ours == theirs
    assert [type(one) for one in ours[0][1]["firstBatch"]] == [bytes]
    assert [len(cursor[name]) for _, cursor in ours for name in cursor if "Batch" in name] == [
        *(1, 1, 1),  # of the first
        0,  # of the second, which finds nothing
        *(0, 1, 1),  # of the third, whose command asks for no documents
        *(5, 2),
    ]
