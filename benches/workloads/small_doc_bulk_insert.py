"""insert_many of 10,000 small documents in one call."""

from dataclasses import replace

from benches import documents
from benches.workloads import small_doc_insert_one as one


def sync(peer, items):
    for batch in items:
        peer.database["inserted"].insert_many(batch)


async def asynchronous(peer, items):
    for batch in items:
        await peer.database["inserted"].insert_many(batch)


def fresh_batches(operations):
    return [
        [dict(documents.small_document()) for _ in range(documents.COUNT)]
        for _ in range(operations)
    ]


WORKLOAD = replace(
    one.WORKLOAD,
    name="small_doc_bulk_insert",
    title="insert_many, 10,000 small documents",
    operations=2,
    items=fresh_batches,
    expected=lambda items: one.stored_when_right(sum(map(len, items))),
    sync=sync,
    asynchronous=asynchronous,
    peak_memory=True,
)
