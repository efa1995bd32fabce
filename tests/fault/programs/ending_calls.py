"""Threads of `ending.py` that are in callbacks, or wait in calls of all kinds."""

import asyncio
import logging
import tempfile
import time

from tests.drivers import package
from tests.fault.programs.ending_work import Kept, setup, spin

# ---- callbacks


@setup
async def logs(work):
    handler = logging.FileHandler(tempfile.mktemp(prefix="ending-", suffix=".log"))
    logger = logging.getLogger("pymongo")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return await work.find()


class Prints(package.monitoring.CommandListener):
    def started(self, event):
        print(event.command)

    succeeded = failed = lambda self, event: print(event.command_name)


class Sleeps(Prints):
    def __init__(self, work):
        self.work = work

    def started(self, event):
        if event.command_name == "find":
            self.work.waits = True
            time.sleep(60)


class Exits(Prints):
    def started(self, event):
        if event.command_name == "find":
            spin()
            raise SystemExit


@setup
async def printing_listener(work):
    return await work.find(event_listeners=[Prints()])


@setup
async def sleeping_listener(work):
    return await work.find(event_listeners=[Sleeps(work)])


@setup
async def exiting_listener(work):
    read = await work.find(event_listeners=[Exits()])

    async def tolerant():
        try:
            await read()
        except SystemExit:
            work.waits = True

    return tolerant


@setup
async def server_selector(work):
    def select(servers):
        time.sleep(0.001)
        return servers

    return await work.find(server_selector=select)


# ---- kinds of calls


@setup
async def to_list(work):
    await work.find()
    collection = work.client(document_class=Kept)[work.name].plain
    return lambda: collection.find(batch_size=7).to_list()


@setup
async def aggregate(work):
    await work.find()
    collection = work.client(document_class=Kept)[work.name].plain

    async def read():
        async for _ in await collection.aggregate([{"$match": {}}], batchSize=7):
            pass

    return read


@setup
async def change_stream(work):
    client = work.client(document_class=Kept)
    collection = client[work.name].watched
    stream = await collection.watch()

    async def follow():
        await collection.insert_one({})
        await stream.next()

    return follow


@setup
async def gridfs(work):
    bucket = work.driver.gridfs("GridFSBucket", work.client(document_class=Kept)[work.name])

    async def store():
        number = await bucket.upload_from_stream("file", b"x" * 600_000)
        await (await bucket.open_download_stream(number)).read()

    return store


@setup
async def transactions(work):
    client = work.client(document_class=Kept)
    await client[work.name].money.insert_one({"of": 1})

    async def transact():
        async with client.start_session() as session, await session.start_transaction():
            await client[work.name].money.find_one({}, session=session)

    return transact


@setup
async def many_clients(work):
    async def use():
        async with work.client(document_class=Kept) as client:
            await client.admin.command("ping")

    return use


@setup
async def slow_query(work):
    collection = work.client(document_class=Kept)[work.name].slow
    await collection.insert_many([{} for _ in range(100)])
    return lambda: waiting(work, lambda: collection.find_one({"$where": "sleep(1000)"}))


@setup
async def no_server(work):
    client = work.driver.client("127.0.0.1:9", serverSelectionTimeoutMS=60_000)
    return lambda: waiting(work, lambda: client.admin.command("ping"))


async def waiting(work, call):
    work.waits = True
    await call()


@setup
async def tasks(work):
    """Many at once in a TaskGroup (threads have one another)."""
    read = await work.find(document_class=Kept)
    if work.driver.name == "sync":
        return read

    async def together():
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(read())

    return together


@setup
async def goodbye(work):
    return await work.find(document_class=Kept)
