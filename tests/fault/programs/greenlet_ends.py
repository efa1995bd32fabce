"""Calls in greenlets that end before their time, or in another process. See `greenlets`."""

import os
import random
import sys

from pymongo import monitoring
from pymongo.errors import AutoReconnect
from tests.drivers import package
from tests.fault.programs.greenlet_tools import all_of, overlap, slow
from tests.listeners import Recorder


def timeout(hub, client, database):
    """Time limits fire in the order of their times, and each costs the connection in use."""
    recorder = Recorder()
    watched = package.MongoClient(sys.argv[3], event_listeners=[recorder])
    slow(watched, 1)
    order = []

    def limited(name, seconds):
        try:
            with hub.Timeout(seconds):
                slow(watched, 20_000)
        except hub.Timeout:
            order.append(name)

    def other():
        slow(watched, 700)
        order.append("other")

    greenlets = [hub.spawn(limited, "late", 1.5), hub.spawn(limited, "early", 0.2)]
    greenlets.append(hub.spawn(other))
    for greenlet in greenlets:
        hub.wait(greenlet)
    assert order == ["early", "other", "late"], order
    closed = {event.connection_id for event in recorder.of(monitoring.ConnectionClosedEvent)}
    assert len(closed) == 2, closed
    failed = recorder.of(monitoring.CommandFailedEvent)
    assert [event.failure["errtype"] for event in failed] == ["Timeout", "Timeout"], failed
    assert database.client.admin.command("ping")["ok"] == 1
    slow(watched, 1)
    used = recorder.of(monitoring.ConnectionCheckedOutEvent)[-1].connection_id
    assert used not in closed
    watched.close()


def killed(hub, client, database):
    """A greenlet is killed while it waits for an answer, for a connection, in a transaction."""
    one = package.MongoClient(sys.argv[3], maxPoolSize=1)
    slow(one, 1)
    collection = one[database.name].killed
    collection.insert_one({"_id": 1})

    def in_transaction():
        with one.start_session() as session, session.start_transaction():
            collection.update_one({"_id": 1}, {"$set": {"x": 1}}, session=session)
            begun.append(True)
            one.admin.command("sleep", 1, millis=20_000, lock="none")

    for stage in ("answer", "connection", "transaction"):
        begun = []
        if stage == "transaction":
            victim = hub.spawn(in_transaction)
            while not begun:
                hub.sleep(0.01)
            hub.sleep(0.1)
        else:
            victim = hub.spawn(slow, one, 20_000 if stage == "answer" else 300)
            hub.sleep(0.1)
            if stage == "connection":
                holder, victim = victim, hub.spawn(slow, one, 1)
                last = hub.spawn(slow, one, 1)
                hub.sleep(0.05)
        hub.kill(victim)
        assert hub.was_killed(victim), stage
        if stage == "connection":
            hub.wait(holder)
            hub.wait(last)
        # It is the only connection: were it in use still, this would wait.
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
    assert collection.find_one() == {"_id": 1, "n": 3}
    one.close()


def storm(hub, client, database):
    """Calls are cut short at any point, in listeners too; no connection is lost by that."""
    recorder = Recorder()

    class Sleeping(monitoring.CommandListener):
        def started(self, event):
            hub.sleep(0.0005)

        succeeded = failed = started

    watched = package.MongoClient(
        sys.argv[3], event_listeners=[recorder, Sleeping()], maxPoolSize=5
    )
    collection = watched[database.name].storm
    collection.insert_many([{"n": number} for number in range(200)])
    chance = random.Random(7)

    def work(number):
        for _ in range(5):
            calls = [
                lambda: collection.find_one({"n": number}),
                lambda: collection.find(batch_size=20).to_list(),
                lambda: [*collection.find(batch_size=50)],
                lambda: collection.update_one({"n": number}, {"$inc": {"x": 1}}),
                in_transaction,
            ]
            try:
                with hub.Timeout(chance.choice([0.001, 0.01, 0.03, 0.1, 10])):
                    chance.choice(calls)()
            except hub.Timeout:
                cut.append(number)

    def in_transaction():
        with watched.start_session() as session, session.start_transaction():
            collection.insert_one({}, session=session)
            collection.find_one({}, session=session)

    cut = []
    all_of(hub, *[(work, number) for number in range(25)])
    assert cut
    overlap(hub, watched)
    started = recorder.of(monitoring.CommandStartedEvent)
    ended = recorder.of(monitoring.CommandSucceededEvent, monitoring.CommandFailedEvent)
    assert sorted(event.request_id for event in started) == sorted(
        event.request_id for event in ended
    )
    out = recorder.of(monitoring.ConnectionCheckedOutEvent)
    assert len(out) == len(recorder.of(monitoring.ConnectionCheckedInEvent))
    watched.close()
    # A commit that was cut short may be repeated, so its transaction keeps its locks for a minute.
    client.admin.command("killAllSessions", [])


def cursors(hub, client, database):
    """A cursor that lost a batch says so; one that lost nothing goes on."""
    collection = database.cursors
    collection.insert_many([{"_id": number} for number in range(300)])
    cursor = collection.find({"$where": "sleep(this._id < 200 ? 0 : 1000) || true"}, batch_size=100)
    read = [next(cursor)["_id"] for _ in range(200)]
    try:
        with hub.Timeout(0.2):
            next(cursor)
    except hub.Timeout:
        pass
    assert read == [*range(200)]
    try:
        next(cursor)
    except package.errors.InvalidOperation:
        pass
    else:
        raise AssertionError("documents are missing")
    stream = database.streamed.watch()
    try:
        with hub.Timeout(0.2):
            next(stream)
    except hub.Timeout:
        pass
    database.streamed.insert_one({"_id": 1})
    assert next(stream)["fullDocument"] == {"_id": 1}
    stream.close()


def read_ahead(hub, client, database):
    """Batches asked for ahead, with fewer connections than greenlets, and time limits."""
    numbers = list(range(60))
    database.numbers.insert_many([{"_id": number} for number in numbers])
    few = package.MongoClient(sys.argv[3], maxPoolSize=3)
    collection = few[database.name].numbers

    def find():
        return collection.find(batch_size=7, sort=[("_id", 1)]).read_ahead()

    def loop():
        seen = []
        for document in find():
            seen.append(collection.find_one(document)["_id"])
            hub.sleep(0)
        return seen

    assert all_of(hub, *[(loop,)] * 9) == [numbers] * 9

    def limited(seconds):
        cursor, seen = find(), []
        try:
            with hub.Timeout(seconds):
                for document in cursor:
                    seen.append(document["_id"])
                    hub.sleep(0)
        except hub.Timeout:
            pass
        try:
            seen += [document["_id"] for document in cursor]
            assert seen == numbers, seen
        except package.errors.InvalidOperation:
            assert seen == numbers[: len(seen)], seen
        cursor.close()

    all_of(hub, *[(limited, n * 0.0007) for n in range(30)])
    few.close()


def forked(hub, client, database):
    """The child has none of the parent's calls: they raise there, and end in the parent."""
    answers = []
    recorder = Recorder()
    watched = package.MongoClient(sys.argv[3], event_listeners=[recorder], heartbeatFrequencyMS=500)
    watched.admin.command("ping")

    def in_flight():
        try:
            slow(client, 1000)
            answers.append("ok")
        except AutoReconnect:
            answers.append("forked")

    greenlets = [hub.spawn(in_flight) for _ in range(3)]
    hub.sleep(0.1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            new = hub.spawn(client.admin.command, "ping")
            for greenlet in greenlets:
                hub.wait(greenlet)
            assert hub.wait(new)["ok"] == 1
            recorder.events.clear()
            watched.admin.command("ping")
            assert len(recorder.commands("ping")) == 2
            while not recorder.of(monitoring.ServerHeartbeatSucceededEvent):
                hub.sleep(0.01)  # delivered in the background
            os.write(writing, ",".join(answers).encode())
        finally:
            os._exit(0)
    os.close(writing)
    for greenlet in greenlets:
        hub.wait(greenlet)
    told = os.read(reading, 100).decode()
    os.waitpid(child, 0)
    watched.close()
    assert (answers, told) == (["ok"] * 3, "forked,forked,forked"), (answers, told)


def left(hub, client, database):
    """The program ends while greenlets are in calls."""
    watched = package.MongoClient(sys.argv[3], event_listeners=[Recorder()], maxPoolSize=2)
    for _ in range(4):
        hub.spawn(slow, client, 20_000)
        hub.spawn(slow, watched, 20_000)
    hub.spawn(lambda: list(client[database.name].left.watch()))
    hub.sleep(0.3)
    print("well", flush=True)
    sys.exit()
