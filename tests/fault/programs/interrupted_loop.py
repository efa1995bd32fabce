"""Wait for a slow query in an event loop whose signal handler only schedules a cancellation.

ipykernel's does that. Print when the query was cancelled, and whether the client works afterwards.

Arguments: asyncio or uvloop, URI, database.
"""

import asyncio
import json
import signal
import sys
import time

from tests.drivers import AsyncDriver
from tests.fault.programs.interrupted import afterwards, in_a_query


async def main(uri, database):
    driver = AsyncDriver()
    client = driver.client(uri)
    query = asyncio.ensure_future(in_a_query(driver, client, database))
    loop = asyncio.get_running_loop()
    # The handler runs in the selector's wait, in the loop's own thread. `call_soon` wakes nobody.
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon(query.cancel))
    try:
        await query
    except asyncio.CancelledError:
        noticed = time.monotonic()
    print(json.dumps({"noticed": noticed, "answer": await afterwards(client)}))


def runner(kind):
    if kind == "uvloop":
        import uvloop

        return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    with runner(kind) as running:
        running.run(main(*arguments))
