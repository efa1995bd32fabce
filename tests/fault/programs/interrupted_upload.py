"""Wait in an insert of an upload until Ctrl-C; print what is left of it and what works afterwards.

Arguments: sync or async, which insert, the primary, database.
"""

import asyncio
import json
import signal
import sys

from tests.drivers import AsyncDriver, SyncDriver, package, wait_until
from tests.fault.proxy import Proxy
from tests.fault.test_gridfs_uploads import CHUNK_SIZE, CHUNKS_AT_ONCE, DATA, inserts_begun, left


def main(kind, insert, address, name):
    import gridfs.asynchronous.grid_file
    import gridfs.synchronous.grid_file

    for module in (gridfs.asynchronous.grid_file, gridfs.synchronous.grid_file):
        module._UPLOAD_BUFFER_CHUNKS = CHUNKS_AT_ONCE
    with Proxy(address) as proxy, package.MongoClient(address, directConnection=True) as beside:
        database = beside[name]
        if kind == "sync":
            report = whole(SyncDriver(), SyncDriver().run, proxy, int(insert), database)
        else:
            with asyncio.Runner() as runner:
                report = whole(AsyncDriver(), runner.run, proxy, int(insert), database)
    print(json.dumps(report))


def whole(driver, run, proxy, insert, database):
    client = driver.client(proxy.uri())
    bucket = run(first(driver, client, database.name))
    hold = proxy.hold("insert", insert)
    try:
        run(upload(driver, bucket, hold))
    except KeyboardInterrupt:
        remains = left(database)
        before = inserts_begun(database)
        hold.release()
        wait_until(lambda: inserts_begun(database) > before)
        assert left(database) == remains
        run(afterwards(client, bucket))
        return {"left": remains, "afterwards": left(database)}
    raise AssertionError("was not interrupted")


async def first(driver, client, name):
    bucket = driver.gridfs("GridFSBucket", client[name])
    await bucket.upload_from_stream("makes the indexes", b"")
    return bucket


async def upload(driver, bucket, hold):
    say = driver.start(announce, driver, hold)
    await bucket.upload_from_stream("a", DATA, CHUNK_SIZE)
    await say.result()


async def announce(driver, hold):
    while not hold.arrived.is_set():
        await driver.sleep(0.01)
    print("ready", flush=True)


async def afterwards(client, bucket):
    async with client:
        await bucket.upload_from_stream("b", DATA, CHUNK_SIZE)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
