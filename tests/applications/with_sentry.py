"""Sentry: spans and breadcrumbs of PyMongo's commands in a transaction that is captured."""

import asyncio
import re
import sys

import sentry_sdk
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import OperationFailure
from sentry_sdk.transport import Transport

TAGS = ("db.name", "db.system", "db.operation", "net.peer.name")
sent = []


class Kept(Transport):
    """Keeps what would go to Sentry."""

    def capture_envelope(self, envelope):
        sent.extend(item.payload.json for item in envelope.items)


sentry_sdk.init(
    dsn="https://key@localhost/1", transport=Kept, traces_sample_rate=1.0, send_default_pii=True
)


def main(uri: str) -> None:
    with MongoClient(uri) as client, sentry_sdk.start_transaction(op="task", name="request"):
        orders = client.sentry.orders
        orders.insert_many([{"_id": number} for number in range(10)])
        print(orders.find_one({"_id": 7}))
        print(list(orders.aggregate([{"$count": "orders"}])))
        print(len(list(orders.find(batch_size=4))))
        try:
            client.sentry.command("noSuchCommand")
        except OperationFailure as error:
            sentry_sdk.capture_exception(error)
    report()
    asyncio.run(asynchronously(uri))
    report()


async def asynchronously(uri: str) -> None:
    async with AsyncMongoClient(uri) as client:
        with sentry_sdk.start_transaction(op="task", name="async request"):
            orders = client.sentry.orders
            print((await orders.delete_many({"_id": {"$gt": 5}})).deleted_count)
            print(len([order async for order in orders.find(batch_size=4)]))


def report() -> None:
    sentry_sdk.flush()
    for event in sent:
        for crumb in event.get("breadcrumbs", {}).get("values", ()):
            print("breadcrumb", crumb["category"], without_numbers(crumb["message"]))
        for span in event.get("spans", ()):
            tags = {key: value for key, value in span["data"].items() if key in TAGS}
            print("span", span["op"], without_numbers(span["description"]), span["status"], tags)
        for exception in event.get("exception", {}).get("values", ()):
            print("exception", exception["type"], exception["module"])
    sent.clear()


def without_numbers(command: str) -> str:
    """Cursors have another number in each run."""
    return re.sub(r"\d{9,}", "(number)", command)


if __name__ == "__main__":
    main(sys.argv[1])
