"""bulk_write of 3,100 operations of all kinds, in runs of 100 of a kind."""

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne

from benches import documents
from benches.workloads.contract import Workload
from benches.workloads.small_doc_insert_one import empty_collection, stored, stored_when_right


def sync(peer, items):
    for requests in items:
        peer.database["inserted"].bulk_write(requests)


async def asynchronous(peer, items):
    for requests in items:
        await peer.database["inserted"].bulk_write(requests)


def requests_of_all_kinds(operations):
    """Each hundred is inserted, updated, replaced; all but the first hundred are deleted."""
    small = documents.small_document()
    batches = []
    for batch in range(operations):
        requests = []
        for hundred in range(0, HUNDREDS * 100, 100):
            ids = [f"{batch}-{n}" for n in range(hundred, hundred + 100)]
            requests += [InsertOne({"_id": key, **small}) for key in ids]
            requests += [UpdateOne({"_id": key}, {"$set": {"a": 1}}) for key in ids]
            requests += [ReplaceOne({"_id": key}, small) for key in ids]
            if hundred:
                requests += [DeleteOne({"_id": key}) for key in ids]
        batches.append(requests)
    return batches


HUNDREDS = 8

WORKLOAD = Workload(
    name="bulk_write_mixed",
    title="bulk_write, 3,100 operations of all kinds",
    operations=2,
    items=requests_of_all_kinds,
    expected=lambda items: stored_when_right(100 * len(items)),
    sync=sync,
    asynchronous=asynchronous,
    reset=empty_collection,
    outcome=stored,
)
