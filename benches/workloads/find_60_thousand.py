"""60,000 documents in a list: nearby, and in batches of 1,000 over a network that takes 1 ms."""

from dataclasses import replace

from benches import documents
from benches.workloads import find_many_to_list

COUNT = 60_000


def sync_by(**options):
    def sync(peer, items):
        for _ in items:
            found = peer.database["many_tweets"].find({}, **options).to_list()
        return {"count": len(found), "last": found[-1]}

    return sync


def asynchronous_by(**options):
    async def asynchronous(peer, items):
        for _ in items:
            found = await peer.database["many_tweets"].find({}, **options).to_list(None)
        return {"count": len(found), "last": found[-1]}

    return asynchronous


def expected(items):
    return {"count": COUNT, "last": {"_id": COUNT - 1, **documents.tweet()}}


def prepare(database):
    documents.fill(database, "many_tweets", documents.tweet(), COUNT)


FAR_AWAY = replace(
    find_many_to_list.TWEETS,
    name="find_60_batches_1ms_delay",
    title="find 60,000 tweets, to_list in batches of 1,000, 1 ms network",
    operations=1,
    expected=expected,
    sync=sync_by(batch_size=1_000),
    asynchronous=asynchronous_by(batch_size=1_000),
    prepare=prepare,
    delay=0.001,
    peak_memory=False,
)

NEARBY = replace(
    FAR_AWAY,
    name="find_60_thousand_to_list",
    title="find 60,000 tweets, to_list",
    sync=sync_by(),
    asynchronous=asynchronous_by(),
    delay=0.0,
)
