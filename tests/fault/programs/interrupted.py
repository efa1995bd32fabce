"""Wait in a blocking call until Ctrl-C; print when it was noticed and what works afterwards.

Arguments: sync or async, what to wait in, URI, database.
"""

import asyncio
import json
import signal
import sys
import time

from tests.drivers import AsyncDriver, SyncDriver


def main(kind, wait, uri, database):
    options = {"checkout": {"maxPoolSize": 1}, "backoff": BACKOFF}.get(wait, {})
    if kind == "sync":
        driver = SyncDriver()
        client = driver.client(uri, **options)
        noticed = interrupted(lambda: driver.run(WAITS[wait](driver, client, database)))
        answer = driver.run(afterwards(client))
    else:
        driver = AsyncDriver()
        with asyncio.Runner() as runner:
            client = driver.client(uri, **options)
            noticed = interrupted(lambda: runner.run(WAITS[wait](driver, client, database)))
            answer = runner.run(afterwards(client))
    print(json.dumps({"noticed": noticed, "answer": answer}))


def interrupted(call):
    try:
        call()
    except KeyboardInterrupt:
        return time.monotonic()
    raise AssertionError("was not interrupted")


async def afterwards(client):
    async with client:
        return (await client.admin.command("ping"))["ok"]


async def in_a_query(driver, client, database, documents=2000):
    # Slow in small steps: between them the server notices that nobody waits any longer.
    await client[database].c.insert_many([{} for _ in range(documents)])
    ready()
    await client[database].c.find_one({"$where": "sleep(10)"}, max_time_ms=25000)


async def in_server_selection(driver, client, database):
    ready()
    await client.get_database(database, read_preference=nowhere()).c.find_one()


async def in_checkout(driver, client, database):
    # Longer than the test takes to press Ctrl-C; the use afterwards waits for its end.
    slow = driver.start(in_a_query, driver, client, database, 600)
    await driver.sleep(1)  # by then the query has the only connection
    await client[database].c.find_one()
    await slow.result()


async def in_a_backoff(driver, client, database):
    labels = ["RetryableError", "SystemOverloadedError"]
    failure = {"failCommands": ["find"], "errorCode": 2, "errorLabels": labels}
    await client.admin.command(
        "configureFailPoint", "failCommand", mode={"times": 9}, data=failure | {"appName": APP}
    )
    ready()
    await client[database].c.find_one()


def nowhere():
    from pymongo.read_preferences import Secondary

    return Secondary(tag_sets=[{"place": "nowhere"}])


def ready():
    print("ready", flush=True)


APP = "interrupted in a backoff"
BACKOFF = {"appName": APP, "maxAdaptiveRetries": 9}  # some 50 s, each pause a random part of it

WAITS = {
    "query": in_a_query,
    "selection": in_server_selection,
    "checkout": in_checkout,
    "backoff": in_a_backoff,
}

if __name__ == "__main__":
    # A shell starts background jobs with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
