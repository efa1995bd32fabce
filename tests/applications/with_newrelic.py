"""New Relic: datastore segments around the methods of collections, and the host they go to."""

import asyncio
import sys
import tempfile

import newrelic.agent

with tempfile.NamedTemporaryFile("w", suffix=".ini") as settings:
    # Developer mode: nothing is sent.
    settings.write("[newrelic]\napp_name = shop\ndeveloper_mode = true\nlog_file = /dev/null\n")
    settings.flush()
    newrelic.agent.initialize(settings.name)

from newrelic.core.agent import agent_instance
from pymongo import AsyncMongoClient, MongoClient

application = newrelic.agent.register_application(timeout=30)


def main(uri: str) -> None:
    with MongoClient(uri) as client, newrelic.agent.BackgroundTask(application, "request"):
        orders = client.newrelic.orders
        orders.insert_one({"_id": 0})
        orders.insert_many([{"_id": number} for number in range(1, 10)])
        orders.update_one({"_id": 1}, {"$set": {"total": 5}})
        print(orders.find_one({"_id": 1}))
        print(list(orders.aggregate([{"$count": "orders"}])))
        print(len(list(orders.find(batch_size=4))))
        print(orders.count_documents({}), orders.distinct("total"))
    asyncio.run(asynchronously(uri))
    for (name, scope), stats in sorted(segments().items()):
        print(stats.call_count, name, "in", scope or "all")


async def asynchronously(uri: str) -> None:
    async with AsyncMongoClient(uri) as client:
        with newrelic.agent.BackgroundTask(application, "async request"):
            orders = client.newrelic.orders
            print((await orders.delete_many({"_id": {"$gt": 5}})).deleted_count)
            print(len([order async for order in orders.find(batch_size=4)]))


def segments():
    metrics = agent_instance().application("shop")._stats_engine.stats_table
    return {key: stats for key, stats in metrics.items() if key[0].startswith("Datastore/")}


if __name__ == "__main__":
    main(sys.argv[1])
