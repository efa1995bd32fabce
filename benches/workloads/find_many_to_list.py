"""Find 10,000 documents and keep them all in a list."""

from dataclasses import replace

from benches.workloads import find_many_and_empty_the_cursor as iterate


def sync_over(name):
    def sync(peer, items):
        for _ in items:
            found = peer.database[name].find({}).to_list()
        return {"count": len(found), "last": found[-1]}

    return sync


def asynchronous_over(name):
    async def asynchronous(peer, items):
        for _ in items:
            found = await peer.database[name].find({}).to_list()
        return {"count": len(found), "last": found[-1]}

    return asynchronous


TWEETS = replace(
    iterate.TWEETS,
    name="find_many_to_list",
    title="find 10,000 tweets, to_list",
    sync=sync_over("tweets"),
    asynchronous=asynchronous_over("tweets"),
)

SMALL_DOCUMENTS = replace(
    iterate.SMALL_DOCUMENTS,
    name="find_many_small_to_list",
    title="find 10,000 small documents, to_list",
    sync=sync_over("small"),
    asynchronous=asynchronous_over("small"),
)
