"""Use an inherited client and a new one in a child that has closed all descriptors, as daemons do.

Arguments: what to do, URI, database. Prints what each process found.
"""

import asyncio
import json
import os
import sys
import tempfile

from tests.drivers import package


def become_daemon(answers):
    """Twice a fork, a session of its own, and no descriptor left but the one for the answer."""
    answers = os.dup2(answers, 200)
    os.closerange(0, answers)
    os.closerange(answers + 1, 4096)
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)
    # As logs and pid files do, these take the numbers that are free now.
    return answers, [tempfile.TemporaryFile() for _ in range(30)]


def in_daemon(call):
    """Answers what `call` does in the daemon, and whether the daemon's own files stayed empty."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                answers, files = become_daemon(writer)
                try:
                    said = call()
                except BaseException as error:
                    said = f"{type(error).__name__}: {error}"
                untouched = all(os.fstat(file.fileno()).st_size == 0 for file in files)
                os.write(answers, json.dumps([said, untouched]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.wait()
    with open(reader) as answer:
        return json.loads(answer.read() or '"died"')


def work(client, database):
    collection = client[database].c
    collection.insert_many([{"n": n} for n in range(10)])
    with client.start_session() as session, session.start_transaction():
        collection.update_many({}, {"$set": {"seen": True}}, session=session)
    return collection.count_documents({"seen": True})


async def work_async(client, database):
    collection = client[database].c
    await asyncio.gather(*[collection.insert_one({"n": n}) for n in range(10)])
    return await collection.count_documents({})


def inherited(uri, database):
    with package.MongoClient(uri) as client:
        client.admin.command("ping")
        daemon = in_daemon(lambda: work(client, database))
        return [daemon, client.admin.command("ping")["ok"]]


def new(uri, database):
    def start():
        with package.MongoClient(uri) as client:
            return work(client, database)

    with package.MongoClient(uri) as client:
        client.admin.command("ping")
        return [in_daemon(start), client.admin.command("ping")["ok"]]


def first(uri, database):
    """Nothing was used before."""

    def start():
        with package.MongoClient(uri) as client:
            return work(client, database)

    return in_daemon(start)


def new_loop(uri, database):
    async def used(client):
        await client.admin.command("ping")

    client = package.AsyncMongoClient(uri)
    with asyncio.Runner() as runner:
        runner.run(used(client))
        daemon = in_daemon(lambda: asyncio.run(work_async(client, database)))
        runner.run(used(client))
        runner.run(client.close())
    return daemon


def grandchild(uri, database):
    """A worker that a daemon forks leaves the daemon's descriptors alone."""
    client = package.MongoClient(uri)
    client.admin.command("ping")

    def serve():
        mine = work(client, database)
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, str(work(client, database)).encode())
            os._exit(0)
        os.close(writer)
        with open(reader) as answer:
            return [mine, answer.read(), client.admin.command("ping")["ok"]]

    answer = in_daemon(serve)
    client.close()
    return answer


def without_fork(uri, database):
    """A process that closes all of its own descriptors, in the middle of its life."""
    client = package.MongoClient(uri)
    collection = client[database].c
    collection.insert_one({})
    os.closerange(3, 4096)
    results = []
    for _ in range(3):
        try:
            results.append(collection.count_documents({}))
        except package.errors.AutoReconnect as error:
            results.append(type(error).__name__)
    with package.MongoClient(uri) as another:
        results.append(another[database].c.count_documents({}))
    return results


WAYS = {way.__name__: way for way in (inherited, new, first, new_loop, grandchild, without_fork)}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](*sys.argv[2:])))
