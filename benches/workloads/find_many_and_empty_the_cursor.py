"""Find 10,000 documents and iterate over the cursor, keeping none of them."""

from dataclasses import replace

from benches import documents
from benches.workloads.contract import Workload


def sync_over(name):
    def sync(peer, items):
        for _ in items:
            count = 0
            for document in peer.database[name].find({}):
                count, last = count + 1, document
        return {"count": count, "last": last}

    return sync


def asynchronous_over(name):
    async def asynchronous(peer, items):
        for _ in items:
            count = 0
            async for document in peer.database[name].find({}):
                count, last = count + 1, document
        return {"count": count, "last": last}

    return asynchronous


def all_of(document):
    """What reading a filled collection to its end must give."""
    return {"count": documents.COUNT, "last": {"_id": documents.COUNT - 1, **document}}


TWEETS = Workload(
    name="find_many_iterate",
    title="find 10,000 tweets, iterate",
    operations=2,
    items=range,
    expected=lambda items: all_of(documents.tweet()),
    sync=sync_over("tweets"),
    asynchronous=asynchronous_over("tweets"),
    prepare=lambda database: documents.fill(database, "tweets", documents.tweet()),
    peak_memory=True,
)

SMALL_DOCUMENTS = replace(
    TWEETS,
    name="find_many_small_iterate",
    title="find 10,000 small documents, iterate",
    operations=4,
    expected=lambda items: all_of(documents.small_document()),
    sync=sync_over("small"),
    asynchronous=asynchronous_over("small"),
    prepare=lambda database: documents.fill(database, "small", documents.small_document()),
)
