"""One async client on several event loops: one after the other, and at the same time."""

import asyncio
import sys
import threading

import pytest
from tests.drivers import AsyncDriver, eventually, ferromongo_only, package

if sys.platform != "win32":
    import uvloop

    factories = [asyncio.new_event_loop, uvloop.new_event_loop]
else:
    factories = [asyncio.new_event_loop]

pytestmark = ferromongo_only
LOOPS = pytest.mark.parametrize("loop_factory", factories, ids=lambda f: f.__module__.split(".")[0])


async def work(collection, name, count=50):
    await asyncio.gather(
        *[collection.insert_one({"_id": f"{name}-{n}", "by": name}) for n in range(count)]
    )
    found = await collection.find({"by": name}).to_list()
    assert len(found) == count


def run(loop_factory, coroutine):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(coroutine)


@LOOPS
def test_in_turn(loop_factory, proxy, mongodb_database_name):
    client = package.AsyncMongoClient(proxy.uri())
    collection = client[mongodb_database_name].c
    for turn in range(5):
        run(loop_factory, work(collection, f"turn{turn}"))
    run(loop_factory, client.close())
    # The closed loops' connections are gone as well.
    asyncio.run(eventually(AsyncDriver(), lambda: not proxy.open_links))


@LOOPS
def test_at_once(loop_factory, proxy, mongodb_database_name):
    client = package.AsyncMongoClient(proxy.uri())
    collection = client[mongodb_database_name].c
    together = threading.Barrier(4)
    failures = []

    async def rounds(name):
        for n in range(5):
            await asyncio.to_thread(together.wait, 20)
            await work(collection, f"{name}-{n}", 20)

    def thread(name):
        try:
            run(loop_factory, rounds(name))
        except BaseException as error:
            failures.append(error)
            together.abort()

    threads = [threading.Thread(target=thread, args=(f"thread{n}",)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    run(loop_factory, client.close())
    asyncio.run(eventually(AsyncDriver(), lambda: not proxy.open_links))


@LOOPS
def test_a_session_moves_between_loops(loop_factory, mongodb_uri, mongodb_database_name):
    client = package.AsyncMongoClient(mongodb_uri)
    collection = client[mongodb_database_name].c
    session = client.start_session()
    run(loop_factory, collection.insert_one({"_id": 1}, session=session))
    found = run(loop_factory, collection.find_one({"_id": 1}, session=session))
    assert found == {"_id": 1}
    run(loop_factory, session.end_session())
    run(loop_factory, client.close())


@LOOPS
def test_a_loop_that_stops_in_mid_operation_disturbs_no_other(
    loop_factory, proxy, mongodb_database_name
):
    client = package.AsyncMongoClient(proxy.uri())
    collection = client[mongodb_database_name].c
    run(loop_factory, work(collection, "before"))
    proxy.stall("find")

    async def give_up():
        task = asyncio.ensure_future(collection.find_one())
        await eventually(AsyncDriver(), lambda: proxy.seen["find"] >= 2)
        assert not task.done()

    run(loop_factory, give_up())
    run(loop_factory, work(collection, "after"))
    run(loop_factory, client.close())
