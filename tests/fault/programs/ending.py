"""The interpreter ends while daemon threads are in the engine, in Python code below it, or both.

Arguments: what they do, "sync" or "async", URI, prefix of the databases' names. All is well if the
exit code is 0 and nothing is on stderr. ENDING_SLOWLY in the environment has finalization take its
time: threads come back to the engine meanwhile.
"""

import atexit
import os
import random
import sys
import threading
import time

import uvloop
from tests.drivers import AsyncDriver, SyncDriver, package
from tests.fault.programs import ending_codecs  # noqa: F401 (its set-ups)
from tests.fault.programs.ending_calls import Prints
from tests.fault.programs.ending_work import SETUPS, Kept, Work


def in_the_end(uri, name):
    """By an exit handler, and by objects that live longer than anything."""
    client = package.MongoClient(uri, document_class=Kept, event_listeners=[Prints()])

    def say_goodbye():
        client[name].goodbye.insert_one({"at": "exit"})
        assert client[name].goodbye.find_one()

    atexit.register(say_goodbye)

    class Last:
        def __init__(self):
            self.client = client

        def __del__(self):
            self.client[name].goodbye.find_one()
            self.client.close()

    sys.modules["the very last"] = Last()


class Slow:
    """The threads come back to the engine meanwhile, and want the GIL."""

    def __del__(self):
        time.sleep(0.25)


def main(what, api, uri, name):
    drivers = {"sync": (SyncDriver, 4), "async": (AsyncDriver, 2)}
    driver, threads = drivers[api]
    works = [Work(driver(), uri, f"{name}_{number}") for number in range(threads)]

    async def again_and_again(work):
        step = await SETUPS[what](work)
        while True:
            await step()
            work.steps += 1

    def run(work):
        if api == "async" and what in ("tasks", "decimals"):
            uvloop.run(again_and_again(work))
        else:
            work.driver.run(again_and_again(work))

    for work in works:
        threading.Thread(target=run, args=(work,), daemon=True).start()
    end = time.monotonic() + 30
    while not all(work.steps or work.waits for work in works):
        assert time.monotonic() < end, [work.steps for work in works]
        time.sleep(0.01)
    if what == "goodbye":
        in_the_end(uri, name)
    time.sleep(random.random() * 0.05)
    if "ENDING_SLOWLY" in os.environ:
        sys.modules["last thing to go"] = Slow()


if __name__ == "__main__":
    main(*sys.argv[1:])
