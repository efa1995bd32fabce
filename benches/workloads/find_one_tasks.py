"""Many tasks on one event loop share one client, each finding tweets by _id."""

import asyncio
from dataclasses import replace

from benches.workloads import find_one_by_id


def row(tasks):
    def shares(items):
        return [items[task::tasks] for task in range(tasks)]

    async def asynchronous(peer, items):
        finding = (find_one_by_id.asynchronous(peer, share) for share in shares(items))
        return {"last of each task": await asyncio.gather(*finding)}

    def expected(items):
        return {"last of each task": list(map(find_one_by_id.WORKLOAD.expected, shares(items)))}

    return replace(
        find_one_by_id.WORKLOAD,
        name=f"find_one_{tasks}_tasks",
        title=f"find_one by _id, tweet, {tasks} tasks",
        operations=2000,
        expected=expected,
        sync=None,
        asynchronous=asynchronous,
    )


FIFTY = row(50)
EIGHTY = row(80)
