"""find_one_and_update of one small document, which comes back as it was before."""

from benches import documents
from benches.workloads.contract import Workload


def sync(peer, items):
    find_one_and_update = peer.database["counters"].find_one_and_update
    for _ in items:
        before = find_one_and_update({"_id": "one"}, {"$inc": {"count": 1}})
    return before


async def asynchronous(peer, items):
    find_one_and_update = peer.database["counters"].find_one_and_update
    for _ in items:
        before = await find_one_and_update({"_id": "one"}, {"$inc": {"count": 1}})
    return before


def counter(count):
    return {"_id": "one", **documents.small_document(), "count": count}


def reset(database):
    database["counters"].replace_one({"_id": "one"}, counter(0), upsert=True)


def with_what_is_stored(database, answer):
    return {"answer": answer, "stored": database["counters"].find_one()}


WORKLOAD = Workload(
    name="find_one_and_update",
    title="find_one_and_update, small document",
    operations=400,
    items=range,
    expected=lambda items: {"answer": counter(len(items) - 1), "stored": counter(len(items))},
    sync=sync,
    asynchronous=asynchronous,
    reset=reset,
    outcome=with_what_is_stored,
)
