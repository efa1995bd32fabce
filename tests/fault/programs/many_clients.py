"""Open, use and close many clients; print what the process held before and after.

Arguments: sync or async, URI, database. The first clients only warm up: imports, caches, allocator.
"""

import asyncio
import gc
import json
import os
import sys
import time

from tests.drivers import AsyncDriver, SyncDriver


def main(kind, uri, database):
    # One event loop for all: what a loop itself costs is no matter of the driver's.
    with asyncio.Runner() as runner:
        if kind == "sync":
            driver, run = SyncDriver(), SyncDriver().run
        else:
            driver, run = AsyncDriver(), runner.run
            # The loop's own helper threads stay once they exist.
            run(fill_executor())
        for _ in range(30):
            run(use(driver, uri, database))
        before = settled(None, seconds=1)
        for _ in range(200):
            run(use(driver, uri, database))
        after = settled(before)
    print(json.dumps({"before": before, "after": after}))


async def use(driver, uri, database):
    async with driver.client(uri) as client:
        collection = client[database].c
        await collection.insert_one({})
        assert await collection.find_one() is not None
        assert [document async for document in collection.find().limit(2)]


async def fill_executor():
    await asyncio.gather(*[asyncio.to_thread(time.sleep, 0.2) for _ in range(64)])


def settled(before, seconds=5):
    """The numbers once they are down to `before`, or after some seconds what they are then."""
    for _ in range(10 * seconds):
        gc.collect()
        now = held()
        if before and now["threads"] <= before["threads"] and now["fds"] <= before["fds"]:
            break
        time.sleep(0.1)
    return now


def held():
    with open("/proc/self/statm") as sizes:
        resident = int(sizes.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "threads": len(os.listdir("/proc/self/task")),
        "fds": len(os.listdir("/proc/self/fd")),
        "memory": resident,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
