"""Aggregations that the server has little to do for: a $match by _id and a $project of tweets."""

import inspect
from dataclasses import replace

from benches import documents
from benches.workloads import find_one_by_id
from benches.workloads.contract import Workload


def sync(peer, items):
    tweets = peer.database["tweets"]
    for pipeline in items:
        found = list(tweets.aggregate(pipeline))
    return {"found": found}


async def asynchronous(peer, items):
    tweets = peer.database["tweets"]
    for pipeline in items:
        found = [document async for document in await cursor(tweets, pipeline)]
    return {"found": found}


async def cursor(collection, pipeline):
    """Motor's `aggregate` is the cursor already; of the others it is awaited."""
    found = collection.aggregate(pipeline)
    return await found if inspect.isawaitable(found) else found


def pipelines(count):
    """Makes pipelines whose results are `count` documents each."""

    def items(operations):
        return [
            [{"$match": {"_id": {"$gte": start, "$lt": start + count}}}, {"$project": PROJECTION}]
            for start in find_one_by_id.scattered_ids(operations, documents.COUNT - count)
        ]

    return items


def expected(items):
    tweet = documents.tweet()
    result = {"text": tweet["text"], "user": {"name": tweet["user"]["name"]}, "id": tweet["id"]}
    ids = items[-1][0]["$match"]["_id"]
    return {"found": [{"_id": number, **result} for number in range(ids["$gte"], ids["$lt"])]}


# In the order of the stored fields, in which the server answers.
PROJECTION = {"text": 1, "user.name": 1, "id": 1}

FEW = Workload(
    name="aggregate_few",
    title="aggregate, 5 projected tweets",
    operations=400,
    items=pipelines(5),
    expected=expected,
    sync=sync,
    asynchronous=asynchronous,
    prepare=find_one_by_id.prepare,
)

MANY = replace(
    FEW,
    name="aggregate_many",
    title="aggregate, 1,000 projected tweets",
    operations=20,
    items=pipelines(1000),
)
