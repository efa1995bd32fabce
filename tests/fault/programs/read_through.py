"""Iterates over many documents and keeps none; prints what is resident after a fifth and all."""

import asyncio
import json
import sys

from tests.fault.programs.many_clients import held

from ferromongo import AsyncMongoClient, MongoClient

STORED, COPIES = 1_000, 100
# Each comes many times, so that nothing like as much need be stored.
PIPELINE = [{"$set": {"copy": list(range(COPIES))}}, {"$unwind": "$copy"}]


def main(kind, uri, database, ahead=None):
    marks = Marks()
    with MongoClient(uri) as client:
        collection = client[database].read_through
        collection.insert_many([{"text": f"document {n}" * 9} for n in range(STORED)])
        if kind == "sync":
            for _ in collection.aggregate(PIPELINE).read_ahead(ahead == "ahead"):
                marks.pass_one()
    if kind == "async":
        asyncio.run(read(uri, database, ahead, marks))
    print(json.dumps({"count": marks.count, "resident": marks.resident}))


async def read(uri, database, ahead, marks):
    async with AsyncMongoClient(uri) as client:
        cursor = await client[database].read_through.aggregate(PIPELINE)
        async for _ in cursor.read_ahead(ahead == "ahead"):
            marks.pass_one()


class Marks:
    def __init__(self):
        self.count, self.resident = 0, []

    def pass_one(self):
        self.count += 1
        if self.count in (STORED * COPIES // 5, STORED * COPIES):
            self.resident.append(held()["memory"])


if __name__ == "__main__":
    main(*sys.argv[1:])
