"""One async client on several event loops: one after the other, and at the same time."""

import asyncio
import gc
import sys
import threading

import pytest
from tests.drivers import AsyncDriver, eventually, ferromongo_only, package, wait_until

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


@LOOPS
def test_a_coroutine_dropped_outside_its_loop(loop_factory, proxy, mongodb_database_name):
    """Its socket belongs to its own loop: no other may be asked to forget it, nor none."""
    client = package.AsyncMongoClient(proxy.uri())
    collection = client[mongodb_database_name].c
    home = loop_factory()
    proxy.stall("find", times=2)

    async def drop(operation):
        operation.close()

    home.run_until_complete(collection.insert_one({"_id": 1}))
    stalled_ones = [_begin(home, collection, lambda n=n: proxy.seen["find"] == n) for n in (1, 2)]
    stalled_ones[0].close()  # where no loop runs
    run(loop_factory, drop(stalled_ones[1]))  # and where another one does
    for n in range(20):
        home.run_until_complete(asyncio.wait_for(collection.insert_one({"by": n}), 30))
    home.run_until_complete(client.close())
    home.close()


def _begin(loop, collection, is_sent):
    """A `find_one` of which `loop` has run the first steps, until it was sent."""
    operation = collection.find_one()

    async def first_steps():
        future = operation.send(None)
        future._asyncio_future_blocking = False
        while not is_sent():
            done, _ = await asyncio.wait([future], timeout=0.05)
            if done:
                future = operation.send(None)
                future._asyncio_future_blocking = False

    loop.run_until_complete(first_steps())
    return operation


def test_waiting_in_vain_for_a_connection_leaves_nothing(proxy, mongodb_database_name):
    async def main():
        options = proxy.uri(maxPoolSize=1, waitQueueTimeoutMS=20)
        async with package.AsyncMongoClient(options) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 1})
            proxy.stall("find")
            busy = asyncio.ensure_future(collection.find_one())
            await eventually(AsyncDriver(), lambda: proxy.seen["find"] == 1)
            before = _futures()
            for _ in range(50):
                with pytest.raises(package.errors.WaitQueueTimeoutError):
                    await collection.find_one()
            assert _futures() - before < 10
            busy.cancel()

    asyncio.run(main())


def _futures():
    gc.collect()
    return sum(type(each) is asyncio.Future for each in gc.get_objects())


@LOOPS
def test_a_loop_that_is_gone_keeps_no_connection(loop_factory, proxy, mongodb_database_name):
    client = package.AsyncMongoClient(proxy.uri())
    collection = client[mongodb_database_name].c

    def links():
        gc.collect()
        return [link for link in proxy.links_of("insert") if link.open]

    run(loop_factory, work(collection, "before", 3))
    wait_until(lambda: not links())
    run(loop_factory, client.close())
