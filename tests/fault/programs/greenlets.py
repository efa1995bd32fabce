"""Blocking calls in greenlets. Prints "well" if all is.

Arguments: which hub, what to try, URI, database.

That other greenlets run while a call waits is told from the order of events and never from times.
"""

import sys

from tests.fault.programs.green_hubs import hub as hub_of

hub = hub_of(sys.argv[1])
if sys.argv[2] not in ("unpatched", "late"):
    hub.patch()

import asyncio  # noqa: E402
import contextlib  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import threading  # noqa: E402

from tests.drivers import gridfs, package  # noqa: E402
from tests.fault.programs import greenlet_atomic, greenlet_callbacks, greenlet_ends  # noqa: E402
from tests.fault.programs.greenlet_tools import all_of, overlap, slow  # noqa: E402
from tests.name_server import NameServer  # noqa: E402


def crud(client, database):
    """Whatever a program does, from several greenlets at once."""

    def work(number):
        collection = database[f"crud_{number}"]
        collection.insert_many([{"_id": n, "x": n % 7} for n in range(300)])
        assert [doc["_id"] for doc in collection.find(batch_size=50).sort("_id")] == [*range(300)]
        assert len(collection.find({"x": 3}, batch_size=10).to_list()) == 43
        assert collection.update_many({"x": 3}, {"$inc": {"y": 1}}).modified_count == 43
        assert collection.delete_many({"y": 1}).deleted_count == 43
        collection.create_index("x")
        grouped = collection.aggregate([{"$group": {"_id": "$x"}}], batchSize=2)
        assert sorted(group["_id"] for group in grouped) == [0, 1, 2, 4, 5, 6]
        bulk = [package.InsertOne({"z": n}) for n in range(50)]
        assert collection.bulk_write(bulk).inserted_count == 50
        bucket = gridfs.GridFSBucket(database, f"files_{number}")
        stored = bucket.upload_from_stream("a", bytes(600_000))
        assert bucket.open_download_stream(stored).read() == bytes(600_000)
        with client.start_session() as session:
            session.with_transaction(lambda s: collection.insert_one({"t": 1}, session=s))
        return collection.count_documents({})

    assert all_of(hub, *[(work, number) for number in range(5)]) == [308] * 5


def overlapping(client, database):
    """Five slow calls are all under way before the first one ends."""
    overlap(hub, client)


def pool_of_one(client, database):
    """Those who wait for the only connection get it in turn, and others run meanwhile."""
    one = package.MongoClient(sys.argv[3], maxPoolSize=1)
    one.admin.command("ping")  # nobody waits for the servers any more
    ended = []

    def work(number):
        slow(one, 50)
        ended.append(number)
        database.command("ping")  # with the other client

    all_of(hub, *[(work, number) for number in range(8)])
    assert ended == [*range(8)], ended
    one.close()


def conflict(client, database):
    """A write waits for the transaction of another greenlet."""
    collection = database.conflict
    collection.insert_one({"_id": 1, "n": 0})
    order = []

    def other():
        order.append("write")
        collection.update_one({"_id": 1}, {"$inc": {"n": 10}})
        order.append("written")

    with client.start_session() as session, session.start_transaction():
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        writer = hub.spawn(other)
        slow(client, 300)
        order.append("commit")
    hub.wait(writer)
    assert order == ["write", "commit", "written"], order
    assert collection.find_one() == {"_id": 1, "n": 11}


def transactions(client, database):
    """Two transactions want the same document: one is repeated."""
    collection = database.transactions
    collection.insert_one({"_id": 1, "n": 0})
    attempts = []

    def work(number):
        def body(session):
            attempts.append(number)
            found = collection.find_one({"_id": 1}, session=session)
            slow(client, 50)
            change = {"$set": {"n": found["n"] + 1}}
            collection.update_one({"_id": 1}, change, session=session)
            slow(client, 50)

        with client.start_session() as session:
            session.with_transaction(body)

    all_of(hub, (work, 1), (work, 2))
    assert collection.find_one() == {"_id": 1, "n": 2}
    assert len(attempts) > 2, attempts


def change_stream(client, database):
    """A stream waits for what another greenlet writes."""
    heard = []

    def watch():
        with database.watched.watch(max_await_time_ms=5000) as stream:
            opened.append(stream)
            for change in stream:
                heard.append(change["fullDocument"]["_id"])
                if len(heard) == 3:
                    return stream.try_next()

    opened = []
    watcher = hub.spawn(watch)
    while not opened:
        hub.sleep(0.01)
    for number in range(3):
        database.watched.insert_one({"_id": number})
        hub.sleep(0.01)
    assert hub.wait(watcher) is None
    assert heard == [0, 1, 2], heard


def many(client, database):
    """200 greenlets, 7 connections."""
    few = package.MongoClient(sys.argv[3], maxPoolSize=7)
    collection = few[database.name].many

    def work(number):
        collection.insert_one({"_id": number})
        found = collection.find_one({"_id": number})
        return found["_id"]

    assert all_of(hub, *[(work, number) for number in range(200)]) == [*range(200)]
    few.close()


def threads(client, database):
    """A native thread has no hub and blocks by itself; patched threads are greenlets."""

    def in_thread():
        slow(client, 200)
        return threading.get_native_id()

    native = hub.spawn(hub.in_thread, in_thread)
    overlap(hub, client)
    assert hub.wait(native) != os.getpid()
    order = []

    def patched(number):
        order.append(number)
        slow(client, 200)
        order.append(number)

    started = [threading.Thread(target=patched, args=(number,)) for number in range(3)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert order[:3] == [0, 1, 2], order


def other_hubs(client, database):
    """Another thread has a hub of its own; in a hub's own greenlet a call blocks."""
    one = package.MongoClient(sys.argv[3], maxPoolSize=1)

    def turns():
        all_of(hub, *[(slow, one, 20)] * 5)
        overlap(hub, client)
        return "well"

    native = hub.spawn(hub.in_thread, turns)
    all_of(hub, *[(slow, one, 20)] * 5)
    assert hub.wait(native) == "well"
    answers = []
    hub.call_in_hub(lambda: answers.append(one.admin.command("ping")["ok"]))
    while not answers:
        hub.sleep(0.01)
    one.close()


def looked_up(client, database):
    """Look-ups for `mongodb+srv://` and their thread let others run."""
    ticks = []

    def tick():
        while True:
            ticks.append(1)
            hub.sleep(0.02)

    ticker = hub.spawn(tick)
    name, everyone = "cluster.sample.test", {"srv_host_validator": lambda host: True}
    with NameServer() as names:
        names.srv(name, ("localhost", client.address[1]))
        uri = f"mongodb+srv://{name}/?tls=false"
        with package.MongoClient(uri, **everyone) as found:
            overlap(hub, found)
        names.srv(name, ("localhost", 1))
        with package.MongoClient(f"{uri}&serverSelectionTimeoutMS=1500", **everyone) as lost:
            before = len(ticks)
            with contextlib.suppress(package.errors.ServerSelectionTimeoutError):
                lost.admin.command("ping")
            assert len(ticks) > before + 5, len(ticks) - before
        hub.kill(ticker)
        hub.sleep(0.05)


def asynchronous(client, database):
    """The other API is as ever."""

    async def work():
        async with package.AsyncMongoClient(sys.argv[3]) as client:
            collection = client[database.name].asynchronous
            await collection.insert_many([{"_id": n} for n in range(300)])
            return [document["_id"] async for document in collection.find(batch_size=50)]

    assert sorted(asyncio.run(work())) == [*range(300)]


def unpatched(client, database):
    """Without patched sockets all is as without the library."""
    order = []
    other = hub.spawn(lambda: order.append("other"))
    slow(client, 50)
    order.append("slow")
    hub.wait(other)
    assert order == ["slow", "other"], order
    assert not [name for name in sys.modules if name.startswith("ferromongo._hubs.of")]


def late(client, database):
    """The program patches after the client was made and used."""
    client.admin.command("ping")
    hub.patch()
    overlap(hub, client)


def interrupted(client, database):
    """Ctrl-C is raised in the main greenlet, in the midst of its call."""

    # In the background of a shell it would be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # From outside, and not by a child whose end the hub would learn of: no greenlet runs then.
    subprocess.run(["sh", "-c", f"(sleep 0.5; kill -INT {os.getpid()}) >&- 2>&- &"], check=True)
    try:
        slow(client, 20_000)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("not interrupted")
    assert client.admin.command("ping")["ok"] == 1


def main():
    client = package.MongoClient(sys.argv[3])
    what = sys.argv[2]
    modules = (greenlet_atomic, greenlet_callbacks, greenlet_ends)
    found = [vars(module).get(what) for module in modules]
    with_hub = next(filter(None, found), None)
    database = client[sys.argv[4]]
    if with_hub is None:
        globals()[what](client, database)
    else:
        with_hub(hub, client, database)
    client.close()
    print("well")


if __name__ == "__main__":
    main()
