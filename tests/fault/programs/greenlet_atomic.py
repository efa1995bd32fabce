"""`atomic` in greenlets. See `greenlets`."""

import random

from tests.fault.programs.greenlet_tools import all_of

from ferromongo.transaction import atomic, current_attempt, on_commit


def atomic_conflicts(hub, client, database):
    """Each greenlet has its own transaction; those that meet on a document are run again."""
    collection = database.atomic
    collection.insert_many([{"_id": number, "n": 0} for number in range(4)])
    chance, kept = random.Random(3), []

    @atomic(client)
    def work(name):
        for _ in range(2):
            collection.update_one({"_id": chance.randrange(4)}, {"$inc": {"n": 1}})
        collection.insert_one({"work": name})
        on_commit(lambda: kept.append(name))

    def several(number):
        for step in range(4):
            assert current_attempt() == 0
            work(f"{number}-{step}")

    all_of(hub, *[(several, number) for number in range(8)])
    done = [document["work"] for document in collection.find({"work": {"$exists": True}})]
    assert sorted(done) == sorted(kept)
    assert len(set(done)) == len(done) == 32
    assert sum(document["n"] for document in collection.find({"n": {"$exists": True}})) == 64


def atomic_ends(hub, client, database):
    """A block that is killed, or out of time, in a call or between two, is rolled back at once."""
    collection = database.atomic_ends
    collection.insert_one({"_id": 1, "n": 0})

    def block(slowly):
        with atomic(client):
            collection.update_one({"_id": 1}, {"$set": {"n": 10}})
            begun.append(True)
            if slowly:
                collection.find_one({"$where": "sleep(20000) || true"})
            hub.sleep(20)

    def in_time(slowly):
        try:
            with hub.Timeout(0.3):
                block(slowly)
        except hub.Timeout:
            return
        raise AssertionError

    for slowly in (False, True):
        begun = []
        victim = hub.spawn(block, slowly)
        while not begun:
            hub.sleep(0.01)
        hub.sleep(0.1)
        hub.kill(victim)
        assert hub.was_killed(victim)
        # Would wait for a lock that is still held.
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
        in_time(slowly)
        collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
        assert current_attempt() == 0
    assert collection.find_one() == {"_id": 1, "n": 4}
