"""Insert small documents one by one; the server's journal is most of the wall time."""

from benches import documents
from benches.workloads.contract import Workload


def sync(peer, items):
    insert_one = peer.database["inserted"].insert_one
    for document in items:
        insert_one(document)


async def asynchronous(peer, items):
    insert_one = peer.database["inserted"].insert_one
    for document in items:
        await insert_one(document)


def empty_collection(database):
    """Made anew, so that no measurement pays for its creation or for earlier rows."""
    database.drop_collection("inserted")
    database.create_collection("inserted")


def stored(database, answer):
    collection = database["inserted"]
    return {"count": collection.count_documents({}), "one": collection.find_one({}, {"_id": 0})}


def stored_when_right(count):
    return {"count": count, "one": documents.small_document()}


WORKLOAD = Workload(
    name="small_doc_insert_one",
    title="insert_one, small document",
    operations=400,
    # A fresh dict each: drivers add the _id to the caller's.
    items=lambda operations: [dict(documents.small_document()) for _ in range(operations)],
    expected=lambda items: stored_when_right(len(items)),
    sync=sync,
    asynchronous=asynchronous,
    reset=empty_collection,
    outcome=stored,
)
