"""Find one tweet (1.5 KB) by its _id, over and over."""

from benches import documents
from benches.workloads.contract import Workload


def sync(peer, items):
    find_one = peer.database["tweets"].find_one
    for number in items:
        document = find_one({"_id": number})
    return document


async def asynchronous(peer, items):
    find_one = peer.database["tweets"].find_one
    for number in items:
        document = await find_one({"_id": number})
    return document


def prepare(database):
    documents.fill(database, "tweets", documents.tweet())


def scattered_ids(operations, count=documents.COUNT):
    """Ids below `count` that visit the collection out of order, hardly one of them twice."""
    return [number * 7919 % count for number in range(operations)]


WORKLOAD = Workload(
    name="find_one_by_id",
    title="find_one by _id, tweet",
    operations=1000,
    items=scattered_ids,
    expected=lambda items: {"_id": items[-1], **documents.tweet()},
    sync=sync,
    asynchronous=asynchronous,
    prepare=prepare,
)
