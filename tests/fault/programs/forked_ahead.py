"""Fork while a batch that was asked for ahead is under way; prints what each process has read."""

import asyncio
import json
import os
import sys

from ferromongo import AsyncMongoClient, MongoClient


def ids(documents):
    return [document["_id"] for document in documents]


def find(client, database):
    return client[database].n.find({}, sort=[("_id", 1)], batch_size=5).read_ahead()


def main(kind, uri, database):
    reader, writer = os.pipe()
    work = sync if kind == "sync" else lambda *arguments: asyncio.run(on_a_loop(*arguments))
    seen = work(uri, database, writer)
    os.close(writer)
    with open(reader) as report:
        child = json.loads(report.read())
    os.wait()
    print(json.dumps({"parent": seen, "child": child}))


def sync(uri, database, writer):
    client = MongoClient(uri)
    cursor = find(client, database)
    seen = [next(cursor)["_id"]]
    if os.fork() == 0:
        report = {"error": None}
        try:
            for document in cursor:
                seen.append(document["_id"])
        except Exception as error:
            report["error"] = str(error)
        report |= {"seen": seen, "again": ids(find(client, database))}
        finish(writer, report)
    seen += ids(cursor)
    client.close()
    return seen


async def on_a_loop(uri, database, writer):
    client = AsyncMongoClient(uri)
    cursor = find(client, database)
    seen = [(await anext(cursor))["_id"]]
    if os.fork() == 0:
        asyncio.events._set_running_loop(None)
        asyncio.run(child(client, cursor, database, seen, writer))
    seen += [document["_id"] async for document in cursor]
    await client.close()
    return seen


async def child(client, cursor, database, seen, writer):
    report = {"error": None}
    try:
        async for document in cursor:
            seen.append(document["_id"])
    except Exception as error:
        report["error"] = str(error)
    finish(writer, report | {"seen": seen, "again": ids(await find(client, database).to_list())})


def finish(writer, report):
    os.write(writer, json.dumps(report).encode())
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
