"""Steps of asynchronous iterators on other event loops, also one that cannot watch sockets."""

import asyncio
import concurrent.futures
import sys

import pytest
from tests.drivers import AsyncDriver, eventually, ferromongo_only, package

pytestmark = ferromongo_only


class UnwatchingLoop(asyncio.SelectorEventLoop):
    """Without `add_reader`, as on Windows: calls go to threads."""

    def add_reader(self, *arguments):
        raise NotImplementedError

    add_writer = remove_reader = remove_writer = add_reader


FACTORIES = {"asyncio": asyncio.SelectorEventLoop, "unwatching": UnwatchingLoop}
if sys.platform != "win32":
    import uvloop

    FACTORIES["uvloop"] = uvloop.new_event_loop

every_loop = pytest.mark.parametrize("loop_factory", FACTORIES.values(), ids=FACTORIES)


def run(loop_factory, coroutine):
    with asyncio.Runner(loop_factory=loop_factory, debug=True) as runner:
        return runner.run(coroutine)


async def use(work, uri, name):
    async with package.AsyncMongoClient(uri) as client:
        collection = client[name].c
        await collection.insert_many([{"_id": n} for n in range(12)])
        await work(collection)


@every_loop
def test_anext_works_with_every_way_of_waiting(loop_factory, mongodb_uri, mongodb_database_name):
    async def work(collection):
        for way in (
            lambda step: step,
            lambda step: asyncio.wait_for(step, 10),
            asyncio.create_task,
            asyncio.ensure_future,
            asyncio.shield,
        ):
            cursor = collection.find(batch_size=5, sort=[("_id", 1)])
            seen = []
            try:
                while True:
                    seen.append((await way(cursor.__anext__()))["_id"])
            except StopAsyncIteration:
                pass
            assert seen == list(range(12))
            assert await anext(cursor, None) is None

    run(loop_factory, use(work, mongodb_uri, mongodb_database_name))


@every_loop
def test_anext_cancelled_before_its_first_step_takes_no_document(
    loop_factory, mongodb_uri, mongodb_database_name
):
    async def work(collection):
        cursor = collection.find(batch_size=1, sort=[("_id", 1)])
        seen = []
        while len(seen) < 12:
            task = asyncio.create_task(cursor.__anext__())
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            seen.append((await anext(cursor))["_id"])
        assert seen == list(range(12))

    run(loop_factory, use(work, mongodb_uri, mongodb_database_name))


@every_loop
def test_a_cursor_raises_after_anext_was_cancelled_during_a_fetch(
    loop_factory, proxy, mongodb_database_name
):
    async def work(collection):
        cursor = collection.find(batch_size=3)
        for _ in range(3):
            await anext(cursor)
        proxy.stall("getMore")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(cursor), 0.2)
        # A thread that blocks notices in its next slice of waiting.
        await eventually(AsyncDriver(), lambda: not cursor.alive)
        with pytest.raises(package.errors.InvalidOperation, match="cancelled or interrupted"):
            await anext(cursor)
        (stalled,) = proxy.links_of("getMore")
        await eventually(AsyncDriver(), lambda: not stalled.open)

    run(loop_factory, use(work, proxy.uri(), mongodb_database_name))


class AtOnce(concurrent.futures.ThreadPoolExecutor):
    """Has finished when `submit` returns; the loop processes the result in its next iteration."""

    def submit(self, function, *arguments):
        done = concurrent.futures.Future()
        done.set_result(function(*arguments))
        return done


@pytest.mark.parametrize("call", ["__anext__", "to_list"])
def test_a_batch_fetched_in_a_thread_for_a_cancelled_call_is_there_for_the_next_one(
    call, mongodb_uri, mongodb_database_name
):
    async def work(collection):
        cursor = collection.find(batch_size=3)
        for _ in range(3):
            await anext(cursor)
        asyncio.get_running_loop().set_default_executor(AtOnce())
        task = asyncio.create_task(getattr(cursor, call)())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert (await anext(cursor))["_id"] == 3

    run(UnwatchingLoop, use(work, mongodb_uri, mongodb_database_name))
