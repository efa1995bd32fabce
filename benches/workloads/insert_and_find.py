"""Inserts and finds by turns, by eight threads or eighty tasks that share one client."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from benches import documents
from benches.workloads.contract import Workload
from benches.workloads.small_doc_insert_one import empty_collection

THREADS = 8
TASKS = 80


def sync(peer, items):
    collection = peer.database["inserted"]

    def work(share):
        for number in share:
            collection.insert_one(stored(number))
            found = collection.find_one({"_id": number})
        return found

    with ThreadPoolExecutor(THREADS) as threads:
        return {"last of each": list(threads.map(work, shares(items, THREADS)))}


async def asynchronous(peer, items):
    collection = peer.database["inserted"]

    async def work(share):
        for number in share:
            await collection.insert_one(stored(number))
            found = await collection.find_one({"_id": number})
        return found

    return {"last of each": await asyncio.gather(*map(work, shares(items, TASKS)))}


def shares(items, count):
    return [items[first::count] for first in range(count)]


def stored(number):
    return {"_id": number, **documents.small_document()}


def when_right(count):
    return lambda items: {"last of each": [stored(one[-1]) for one in shares(items, count)]}


def row(count, title, **body):
    return Workload(
        name=f"insert_and_find_{count}_{title}",
        title=f"insert_one and find_one, small document, {count} {title}",
        operations=800,
        items=range,
        expected=when_right(count),
        reset=empty_collection,
        **body,
    )


BY_THREADS = row(THREADS, "threads", sync=sync)
BY_TASKS = row(TASKS, "tasks", asynchronous=asynchronous)
