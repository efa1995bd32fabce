"""Meet hostile peers again and again; print what the process holds, and how busy waiting kept it.

Argument: sync or async. A peer lives in this process: it is gone before anything is counted, and
it sleeps while the time is taken.
"""

import asyncio
import contextlib
import json
import sys
import time

from pymongo.errors import PyMongoError
from tests.drivers import AsyncDriver, SyncDriver
from tests.fault import hostile_replies as hostile
from tests.fault.peer import Peer, cut
from tests.fault.programs.many_clients import fill_executor, settled


def main(kind):
    with asyncio.Runner() as runner:
        driver, run = SyncDriver(), SyncDriver().run
        if kind == "async":
            driver, run = AsyncDriver(), runner.run
            run(fill_executor())
        # The selector exists once the loop does; what it watches is the loop's readers.
        watched = runner.get_loop()._selector.get_map()
        run(rounds(driver, 1))
        before = settled(None, seconds=1) | {"readers": len(watched)}
        run(rounds(driver, 5))
        after = settled(before) | {"readers": len(watched)}
        busy = run(waiting(driver))
    print(json.dumps({"before": before, "after": after, "busy": busy}))


async def rounds(driver, count):
    for _ in range(count):
        with Peer() as peer:
            peer.cursors.documents = [{"_id": n} for n in range(5)]
            async with driver.client(peer.uri(retryReads=False)) as client:
                for answer in (*ANSWERS, cut(25)):
                    peer.once("find", answer)
                    with contextlib.suppress(PyMongoError, hostile.InvalidBSON):
                        await client.db.c.find_one()


async def waiting(driver):
    """The share of a processor that is used while peers say nothing, or too much, or little."""
    line_states = {
        "talks": lambda line: line.send(b"\x40\0\0\0" + b"x" * 1000),
        "talks endlessly": lambda line: line.send(b"\x1e\0\0\0" + b"\0" * 200_000),
        "half a header": lambda line: line.send(b"\x40\0"),
        "hung up": lambda line: line.hang_up(),
    }
    with Peer() as peer:
        async with driver.client(peer.uri(maxPoolSize=10)) as client:
            peer.on("ping", lambda request: request.connection.wait(0.3) or request.ordinary())

            async def ping():
                await client.admin.command("ping")

            # As many connections as states, then each idle one gets its own.
            for job in [driver.start(ping) for _ in line_states]:
                await job.result()
            for line, act in zip(peer.lines_used, line_states.values(), strict=False):
                act(line)
            peer.on("find", lambda request: None)

            async def find():
                await client.db.c.find_one()

            silent = driver.start(find)
            peer.once("insert", lambda request: request.connection.send(request.encoded()[:25]))

            async def insert():
                await client.db.c.insert_one({})

            half = driver.start(insert)
            await driver.sleep(0.3)
            start = time.process_time()
            await driver.sleep(1)
            busy = time.process_time() - start
    for job in (silent, half):
        with contextlib.suppress(PyMongoError):
            await job.result(5)
    return busy


ANSWERS = [answer for group in (hostile.FRAMES, hostile.BSON) for answer in group.answers.values()]


if __name__ == "__main__":
    main(*sys.argv[1:])
