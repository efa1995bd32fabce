"""Large documents, 2.5 MB of 94,000 small fields: inserted one by one, ten in a call, and found."""

from dataclasses import replace

from benches import bson_documents, documents
from benches.workloads import small_doc_bulk_insert, small_doc_insert_one
from benches.workloads.contract import Workload


def large_document():
    return bson_documents.named("large")


def copies(count):
    """A fresh dict each, since drivers add the _id; the fields are shared."""
    return [dict(large_document()) for _ in range(count)]


def stored_when_right(count):
    return {"count": count, "one": large_document()}


INSERT_ONE = replace(
    small_doc_insert_one.WORKLOAD,
    name="large_doc_insert_one",
    title="insert_one, large document",
    operations=4,
    items=copies,
    expected=lambda items: stored_when_right(len(items)),
    peak_memory=True,
)

BULK_INSERT = replace(
    small_doc_bulk_insert.WORKLOAD,
    name="large_doc_bulk_insert",
    title="insert_many, 10 large documents",
    operations=1,
    items=lambda operations: [copies(10) for _ in range(operations)],
    expected=lambda items: stored_when_right(10 * len(items)),
)


def find_sync(peer, items):
    find_one = peer.database["large"].find_one
    for number in items:
        document = find_one({"_id": number})
    return document


async def find_asynchronous(peer, items):
    find_one = peer.database["large"].find_one
    for number in items:
        document = await find_one({"_id": number})
    return document


def prepare(database):
    documents.fill(database, "large", large_document(), count=FOUND)


FOUND = 4

FIND_ONE = Workload(
    name="large_doc_find_one",
    title="find_one by _id, large document",
    operations=FOUND,
    items=range,
    expected=lambda items: {"_id": items[-1], **large_document()},
    sync=find_sync,
    asynchronous=find_asynchronous,
    prepare=prepare,
    peak_memory=True,
)
