"""Fork where Python runs in the middle of an operation: the child returns into it.

Arguments: where to fork, URI, database. Prints what the parent and the child got from the call, and
from a further one.
"""

import asyncio
import json
import os
import select
import signal
import socket
import sys
import threading

from bson.codec_options import TypeDecoder, TypeRegistry
from bson.int64 import Int64
from pymongo import monitoring
from tests.drivers import package

SLOW = {"$where": "sleep(150) || true"}


class Fork:
    """Forks when it is called, so many times; the parent gathers what all processes got."""

    def __init__(self, times=1):
        self.times = times
        self.is_child = False
        self.readers = []
        self.every = 0

    def __call__(self, *_ignored):
        if self.times and not self.is_child:
            self.times -= 1
            reader, writer = os.pipe()
            if os.fork() == 0:
                self.is_child = True
                self.writer = writer
                os.close(reader)
            else:
                os.close(writer)
                self.readers.append(reader)
                # Not a timer that repeats: a handler within the handler would fork, too.
                signal.setitimer(signal.ITIMER_REAL, self.every if self.times else 0)

    def after(self, signals=0.05, every=0):
        """Fork in a signal handler."""
        signal.signal(signal.SIGALRM, self)
        self.every = every
        signal.setitimer(signal.ITIMER_REAL, signals)

    def tell(self, mine):
        """Both come here: the child ends, the parent returns what its children report."""
        if self.is_child:
            os.write(self.writer, json.dumps(mine).encode())
            os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers = []
        for reader in self.readers:
            if not select.select([reader], [], [], 20)[0]:
                answers.append("no answer")
                continue
            with open(reader) as answer:
                answers.append(json.loads(answer.read() or '"died"'))
        return [mine, *answers]


def attempt(call):
    try:
        return call()
    except Exception as error:
        return told(error)


async def attempt_async(awaitable):
    try:
        return await awaitable
    except Exception as error:
        return told(error)


def told(error):
    why = "forked" if "forked" in str(error) else str(error)
    return f"{type(error).__name__}: {why}"


def filled(client, database):
    collection = client[database].c
    collection.insert_many([{"_id": n, "n": 0} for n in range(3)])
    return collection


def found(collection):
    return [document["_id"] for document in collection.find(SLOW)]


def handler_read(uri, database):
    with package.MongoClient(uri) as client:
        collection, fork = filled(client, database), Fork()
        fork.after()
        mine = attempt(lambda: found(collection))
        return fork.tell([mine, attempt(lambda: client.admin.command("ping")["ok"])])


def handler_write(uri, database):
    with package.MongoClient(uri) as client:
        collection, fork = filled(client, database), Fork()
        fork.after()
        change = {"$inc": {"n": 1}}
        mine = attempt(lambda: collection.update_many(SLOW, change).modified_count)
        told = fork.tell([mine, attempt(lambda: collection.count_documents({}))])
        return [*told, [document["n"] for document in collection.find()]]


def handler_transaction(uri, database):
    with package.MongoClient(uri) as client:
        collection, fork = filled(client, database), Fork()
        with client.start_session() as session:
            session.start_transaction()
            collection.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
            fork.after()
            mine = attempt(lambda: len(list(collection.find(SLOW, session=session))))
            again = attempt(
                lambda: collection.update_one({"_id": 1}, {"$inc": {"n": 1}}).raw_result["ok"]
            )
            told = fork.tell([mine, again])
            session.commit_transaction()
        return [*told, [document["n"] for document in collection.find()]]


def handler_numbers(uri, database):
    """What the child opens in the handler gets the numbers of the sockets that it does not keep."""
    with package.MongoClient(uri) as client:
        collection, pairs = filled(client, database), []

        class ForkAndOpen(Fork):
            def __call__(self, *ignored):
                super().__call__()
                if self.is_child:
                    for _ in range(20):
                        one, other = socket.socketpair()
                        one.sendall(b"mine")
                        other.sendall(b"mine")
                        pairs.extend([one, other])

        fork = ForkAndOpen()
        fork.after()
        mine = attempt(lambda: found(collection))
        whole = all(end.recv(100, socket.MSG_DONTWAIT) == b"mine" for end in pairs)
        return fork.tell([mine, whole])


def handler_load(uri, database):
    """Other threads are inside of the engine at each of many forks."""
    with package.MongoClient(uri, maxPoolSize=3) as client:
        collection, fork, over = filled(client, database), Fork(times=12), threading.Event()

        def work():
            while not over.is_set():
                collection.find_one({"_id": 1})

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        fork.after(0.05, 0.05)
        mine = None
        while fork.times and not fork.is_child:
            mine = attempt(lambda: found(collection))
        told = fork.tell([mine, attempt(lambda: client.admin.command("ping")["ok"])])
        over.set()
        for thread in threads:
            thread.join()
        # A reply that came before the fork is decoded in both processes.
        ended = {json.dumps(answer) for answer in told[1:]} - {json.dumps(told[0])}
        return [told[0], sorted(ended)]


class Listener(monitoring.CommandListener):
    def __init__(self, fork):
        self.fork = fork

    def started(self, event):
        if event.command_name == "find":
            self.fork()

    def succeeded(self, event):
        pass

    failed = succeeded


def listener(uri, database):
    fork = Fork()
    with package.MongoClient(uri, event_listeners=[Listener(fork)]) as client:
        mine = attempt(lambda: found(filled(client, database)))
        return fork.tell([mine, attempt(lambda: client.admin.command("ping")["ok"])])


def selector(uri, database):
    fork = Fork(times=0)

    def choose(servers):
        fork()
        return servers

    with package.MongoClient(uri, server_selector=choose) as client:
        collection = filled(client, database)
        fork.times = 1
        mine = attempt(lambda: found(collection))
        return fork.tell([mine, attempt(lambda: client.admin.command("ping")["ok"])])


def decoder(uri, database):
    """The reply is here already: both continue with it, and each fetches what follows by itself."""
    fork = Fork(times=0)

    class Forks(TypeDecoder):
        bson_type = Int64

        def transform_bson(self, value):
            fork()
            return int(value)

    registry = TypeRegistry([Forks()])
    with package.MongoClient(uri, type_registry=registry) as client:
        collection = filled(client, database)
        collection.insert_one({"_id": 3, "long": Int64(5)})
        fork.times = 1
        mine = attempt(lambda: collection.find_one({"_id": 3})["long"])
        return fork.tell([mine, attempt(lambda: client.admin.command("ping")["ok"])])


async def async_filled(client, database):
    collection = client[database].c
    await collection.insert_many([{"_id": n, "n": 0} for n in range(3)])
    return collection


async def async_found(collection):
    return [document["_id"] async for document in collection.find(SLOW)]


def in_new_loop(client):
    """In a child: a loop of its own."""

    async def ping():
        return (await client.admin.command("ping"))["ok"]

    return attempt(lambda: asyncio.run(ping()))


async def coroutine(uri, database):
    """Tasks are in flight; the child leaves the loop as it is and begins one of its own."""
    async with package.AsyncMongoClient(uri) as client:
        collection, fork = await async_filled(client, database), Fork()
        tasks = [asyncio.ensure_future(async_found(collection)) for _ in range(3)]
        await asyncio.sleep(0.1)
        fork()
        if fork.is_child:
            fork.tell(in_new_loop(client))
        return fork.tell(await asyncio.gather(*tasks))


async def return_into_loop(uri, database):
    """The child continues in the parent's loop, where the tasks in flight are not its own."""
    async with package.AsyncMongoClient(uri) as client:
        collection, fork = await async_filled(client, database), Fork()
        tasks = [asyncio.ensure_future(attempt_async(async_found(collection))) for _ in range(3)]
        await asyncio.sleep(0.1)
        fork()
        results = await asyncio.gather(*tasks)
        return fork.tell([results, in_new_loop(client)] if fork.is_child else results)


async def async_listener(uri, database):
    fork = Fork()
    async with package.AsyncMongoClient(uri, event_listeners=[Listener(fork)]) as client:
        mine = await attempt_async(async_found(await async_filled(client, database)))
        return fork.tell([mine, in_new_loop(client)] if fork.is_child else mine)


async def async_selector(uri, database):
    fork = Fork(times=0)

    def choose(servers):
        fork()
        return servers

    async with package.AsyncMongoClient(uri, server_selector=choose) as client:
        collection = await async_filled(client, database)
        fork.times = 1
        mine = await attempt_async(async_found(collection))
        return fork.tell([mine, in_new_loop(client)] if fork.is_child else mine)


WAYS = {
    way.__name__: way
    for way in (
        handler_read,
        handler_write,
        handler_transaction,
        handler_numbers,
        handler_load,
        listener,
        selector,
        decoder,
        coroutine,
        return_into_loop,
        async_listener,
        async_selector,
    )
}

if __name__ == "__main__":
    result = WAYS[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(asyncio.run(result) if asyncio.iscoroutine(result) else result))
