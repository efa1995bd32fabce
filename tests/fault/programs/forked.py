"""Use one client in a parent and in its forked children, at the same time.

Arguments: how to fork, URI, database. Prints what each process found.
"""

import asyncio
import json
import multiprocessing
import os
import sys
import threading

from tests.drivers import package


def work(client, database, name):
    """Writes and reads what no other process does; answers what went wrong."""
    collection = client[database][name]
    for n in range(30):
        collection.insert_one({"_id": n, "by": name})
        if collection.find_one({"_id": n}) != {"_id": n, "by": name}:
            return f"{name} read somebody else's document"
    with client.start_session() as session, session.start_transaction():
        collection.update_many({}, {"$set": {"seen": True}}, session=session)
    return f"{collection.count_documents({'by': name, 'seen': True})} by {name}"


async def work_async(client, database, name):
    collection = client[database][name]
    await asyncio.gather(*[collection.insert_one({"_id": n, "by": name}) for n in range(30)])
    return f"{await collection.count_documents({'by': name})} by {name}"


def os_fork(uri, database):
    client = package.MongoClient(uri)
    client.admin.command("ping")
    report = in_child(lambda: work(client, database, "child"))
    parent = work(client, database, "parent")
    client.close()
    return [parent, report()]


def sessions(uri, database):
    """Server sessions that wait in the pool, and one in use, at the fork."""
    client = package.MongoClient(uri)
    collection = client[database].c
    kept = client.start_session()
    collection.insert_one({"_id": "kept"}, session=kept)

    def used(name):
        with client.start_session() as session, session.start_transaction():
            collection.insert_one({"_id": name}, session=session)
            return session.session_id["id"].hex()

    parents_before = used("before")
    report = in_child(lambda: [used("child"), used("child again")])
    parent, (child, again) = used("parent"), report()
    collection.find_one(session=kept)
    kept.end_session()
    client.close()
    return [parent == parents_before, child == again, child == parent]


def at_once(uri, database):
    """Fork while the client's monitors still wait for their first answer."""
    client = package.MongoClient(uri, serverSelectionTimeoutMS=5000)
    report = in_child(lambda: client[database].command("ping")["ok"])
    client.close()
    return report()


def under_load(uri, database):
    """Fork while other threads are in the middle of operations on the same client."""
    client = package.MongoClient(uri)
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(work(client, database, f"thread{n}")))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    reports = [in_child(lambda n=n: work(client, database, f"child{n}")) for n in range(3)]
    for thread in threads:
        thread.join()
    client.close()
    return sorted(results) + [report() for report in reports]


def pool(uri, database):
    client = package.MongoClient(uri)
    client.admin.command("ping")
    global pool_client
    pool_client = client
    with multiprocessing.get_context("fork").Pool(3) as processes:
        started = processes.starmap_async(pool_work, [(database, f"child{n}") for n in range(3)])
        parent = work(client, database, "parent")
        children = started.get(40)
    client.close()
    return [parent, *children]


def pool_work(database, name):
    return work(pool_client, database, name)


def new_loop(uri, database):
    """An async client of the parent's, used in the child on an event loop of the child's."""
    client = package.AsyncMongoClient(uri)
    with asyncio.Runner() as runner:
        parent = runner.run(work_async(client, database, "parent"))
        report = in_child(lambda: asyncio.run(work_async(client, database, "child")))
        again = runner.run(work_async(client, database, "again"))
        runner.run(client.close())
    return [parent, again, report()]


def child_only(uri, database):
    """Made before the fork, first used after it."""
    client = package.MongoClient(uri, connect=False)
    report = in_child(lambda: work(client, database, "child"))
    client.close()
    return [report()]


def in_child(call):
    """Fork; the function returned waits for the child's answer."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(writer, json.dumps(call()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)

    def report():
        with open(reader) as answer:
            text = answer.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return json.loads(text) if status == 0 else f"child ended with {status}"

    return report


ALL = (os_fork, sessions, at_once, under_load, pool, new_loop, child_only)
WAYS = {f.__name__: f for f in ALL}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](*sys.argv[2:])))
