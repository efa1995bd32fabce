"""Wait in a transaction until Ctrl-C; print what is left of it and what works afterwards.

Arguments: sync or async, where to wait (callback, commit or abort), the primary, database.
"""

import asyncio
import json
import signal
import sys

from tests.drivers import AsyncDriver, SyncDriver
from tests.fault.proxy import Proxy


def main(kind, where, address, database):
    with Proxy(address) as proxy:
        if kind == "sync":
            driver = SyncDriver()
            run = driver.run
            report = whole(driver, run, proxy, where, database)
        else:
            with asyncio.Runner() as runner:
                report = whole(AsyncDriver(), runner.run, proxy, where, database)
    print(json.dumps(report))


def whole(driver, run, proxy, where, database):
    client = driver.client(proxy.uri())
    session = client.start_session()
    try:
        run(transfer(client[database].c, session, proxy, where))
    except KeyboardInterrupt:
        return run(afterwards(driver, client, session, client[database].c))
    raise AssertionError("was not interrupted")


async def transfer(collection, session, proxy, where):
    await collection.insert_one({"_id": 1, "n": 0})

    async def callback(session):
        await collection.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        if where == "abort":
            proxy.stall("abortTransaction")
            print("ready", flush=True)
            raise KeyError("to abort it")
        proxy.stall("find" if where == "callback" else "commitTransaction")
        print("ready", flush=True)
        if where == "callback":
            await collection.find_one(session=session)

    await session.with_transaction(callback)


async def afterwards(driver, client, session, collection):
    async with client:
        left = session.in_transaction
        # Its lock is free.
        await collection.update_one({"_id": 1}, {"$inc": {"n": 10}})
        async with session, await session.start_transaction():
            await collection.update_one({"_id": 1}, {"$inc": {"n": 100}}, session=session)
        return {"in_transaction": left, "n": (await collection.find_one())["n"]}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
