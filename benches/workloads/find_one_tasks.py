"""Fifty tasks on one event loop share one client, each finding tweets by _id."""

import asyncio
from dataclasses import replace

from benches.workloads import find_one_by_id

TASKS = 50


async def asynchronous(peer, items):
    shares = [items[task::TASKS] for task in range(TASKS)]
    answers = await asyncio.gather(*(find_one_by_id.asynchronous(peer, one) for one in shares))
    return {"last of each task": answers}


def expected(items):
    shares = (items[task::TASKS] for task in range(TASKS))
    return {"last of each task": [find_one_by_id.WORKLOAD.expected(share) for share in shares]}


WORKLOAD = replace(
    find_one_by_id.WORKLOAD,
    name="find_one_50_tasks",
    title="find_one by _id, tweet, 50 tasks",
    operations=2000,
    expected=expected,
    sync=None,
    asynchronous=asynchronous,
)
