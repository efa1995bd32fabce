"""count_documents of a few tweets: an aggregation whose answer is one number."""

from benches import documents
from benches.workloads import find_one_by_id
from benches.workloads.contract import Workload


def sync(peer, items):
    count_documents = peer.database["tweets"].count_documents
    for number in items:
        count = count_documents({"_id": {"$gte": number}}, limit=FEW)
    return {"count": count}


async def asynchronous(peer, items):
    count_documents = peer.database["tweets"].count_documents
    for number in items:
        count = await count_documents({"_id": {"$gte": number}}, limit=FEW)
    return {"count": count}


FEW = 5

WORKLOAD = Workload(
    name="count_documents",
    title="count_documents, 5 tweets",
    operations=600,
    items=lambda operations: find_one_by_id.scattered_ids(operations, documents.COUNT - FEW),
    expected=lambda items: {"count": FEW},
    sync=sync,
    asynchronous=asynchronous,
    prepare=find_one_by_id.prepare,
)
