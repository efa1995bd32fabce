"""Find 10,000 documents and keep them all in a list."""

from dataclasses import replace

from benches import bson_documents, documents
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


def of_bson_document(name):
    """For mongojet above all, whose decoder only shows through a server."""
    document = {key: value for key, value in bson_documents.named(name).items() if key != "_id"}
    return replace(
        iterate.TWEETS,
        name=f"find_many_{name}_to_list",
        title=f"find 10,000 {name} documents, to_list",
        operations=1,
        expected=lambda items: iterate.all_of(document),
        sync=sync_over(name),
        asynchronous=asynchronous_over(name),
        prepare=lambda database: documents.fill(database, name, document),
        by_name_only=True,
    )


DEEP_DOCUMENTS = of_bson_document("deep")
FLAT_DOCUMENTS = of_bson_document("flat")
