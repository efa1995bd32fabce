"""`ferromongo.transaction` on a real server: operations of several tasks and threads."""

# ruff: noqa: PT012 - what is raised within a block is raised by its end, too

import asyncio
import contextvars
import threading

import pytest
from pymongo.errors import InvalidOperation
from tests.drivers import ferromongo_only, package
from tests.listeners import Commands
from tests.server.atomic.blocks import ids, transient

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction import atomic, current_attempt, outside_transaction


async def test_gathered_operations_take_turns(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    await collection.insert_one({"_id": 0, "n": 0})
    async with atomic(async_client):
        results = await asyncio.gather(
            *[collection.update_one({"_id": 0}, {"$inc": {"n": 1}}) for _ in range(30)],
            *[collection.find_one({"_id": 0}) for _ in range(10)],
            *[collection.insert_many([{"x": n}, {"x": n}, {"x": n}]) for n in range(5)],
        )
    assert len(results) == 45
    assert (await collection.find_one({"_id": 0}))["n"] == 30
    assert await collection.count_documents({}) == 16


async def test_a_failing_task_group_rolls_back(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    await collection.insert_one({"_id": 0, "n": 0})

    async def work(number):
        await collection.update_one({"_id": 0}, {"$inc": {"n": 1}})
        if number == 5:
            raise KeyError
        await collection.insert_one({"_id": number})

    with pytest.raises(ExceptionGroup):
        async with atomic(async_client), asyncio.TaskGroup() as tasks:
            for number in range(1, 11):
                tasks.create_task(work(number))
    assert await ids(collection) == [0]
    assert (await collection.find_one())["n"] == 0


async def test_to_thread_inherits_a_scope_of_a_sync_client(client, mongodb_database_name):
    collection = client[mongodb_database_name].c
    with pytest.raises(KeyError), atomic(client):
        await asyncio.gather(
            *[asyncio.to_thread(collection.insert_one, {"_id": n}) for n in range(20)]
        )
        assert collection.count_documents({}) == 20
        raise KeyError
    assert collection.count_documents({}) == 0


def in_threads(count, work):
    errors = []

    def run(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(run, number))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_threads_with_copied_contexts_take_turns(client, mongodb_database_name):
    collection = client[mongodb_database_name].c
    collection.insert_one({"_id": 0, "n": 0})
    with atomic(client):
        errors = in_threads(
            8,
            lambda number: [
                collection.update_one({"_id": 0}, {"$inc": {"n": 1}}),
                collection.insert_one({"_id": number + 1}),
                list(collection.find(batch_size=2)),
            ],
        )
    assert errors == []
    assert collection.count_documents({}) == 9
    assert collection.find_one({"_id": 0})["n"] == 8


def test_the_first_operations_of_many_threads_are_in_one_transaction(client, mongodb_database_name):
    collection = client[mongodb_database_name].c
    collection.insert_one({"_id": 0})
    together = threading.Barrier(4)

    def work(number):
        together.wait()
        collection.insert_one({"_id": number})

    with atomic(client):
        contexts = [contextvars.copy_context() for _ in range(4)]
        threads = [
            threading.Thread(target=context.run, args=(work, number))
            for number, context in enumerate(contexts, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with outside_transaction(client):
            assert collection.count_documents({}) == 1
    assert collection.count_documents({}) == 5


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_block_can_be_left_in_another_context(client, mongodb_database_name, timeout):
    collection = client[mongodb_database_name].c
    context = contextvars.copy_context()
    block = atomic(client, timeout=timeout)
    context.run(block.__enter__)
    context.run(collection.insert_one, {"_id": 1})
    block.__exit__(None, None, None)
    assert collection.find_one() == {"_id": 1}
    assert current_attempt() == 0


@pytest.mark.parametrize("timeout", [None, 30])
async def test_a_block_can_be_left_in_another_task(async_client, mongodb_database_name, timeout):
    collection = async_client[mongodb_database_name].c
    block = atomic(async_client, timeout=timeout)
    await asyncio.create_task(block.__aenter__())
    await asyncio.create_task(block.__aexit__(None, None, None))
    await block.__aenter__()
    await collection.insert_one({"_id": 1})
    await asyncio.create_task(block.__aexit__(None, None, None))
    outside = contextvars.Context()
    assert await asyncio.create_task(collection.find_one(), context=outside) == {"_id": 1}
    with pytest.raises(InvalidOperation, match="has ended"):
        await collection.find_one()  # this task has not left it


async def test_concurrent_operations_can_be_refused(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    await collection.insert_one({"_id": 0})
    results = []
    async with atomic(async_client, concurrency="error"):
        await collection.insert_one({"_id": 1})
        slow = {"$where": "sleep(200) || true"}
        found = [collection.find_one(slow), collection.find_one({}), collection.find_one({})]
        results += await asyncio.gather(*found, return_exceptions=True)
        await collection.insert_one({"_id": 2})
    assert [isinstance(result, InvalidOperation) for result in results] == [False, True, True]
    assert "under way" in str(results[1])
    assert await ids(collection) == [0, 1, 2]


async def test_a_task_that_outlives_the_block_gets_an_error(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    over = asyncio.Event()

    async def work(number):
        await over.wait()
        await collection.insert_one({"_id": number})

    async with atomic(async_client):
        await collection.insert_one({"_id": 1})
        late = asyncio.create_task(work(2))
        nested = asyncio.create_task(atomic(async_client)(work)(3))
    async with atomic(async_client):
        empty = asyncio.create_task(work(4))
    over.set()
    for task in (late, nested, empty):
        with pytest.raises(InvalidOperation, match="transaction has ended"):
            await task
    assert await ids(collection) == [1]


async def test_a_task_of_an_attempt_that_failed_does_not_join_the_next(
    async_client, mongodb_database_name
):
    collection = async_client[mongodb_database_name].c
    over = asyncio.Event()
    strays = []

    async def stray():
        await over.wait()
        await collection.insert_one({"_id": "stray"})

    @atomic(async_client)
    async def work():
        await collection.insert_one({"_id": current_attempt()})
        if current_attempt() == 1:
            strays.append(asyncio.create_task(stray()))
            raise transient()
        over.set()
        with pytest.raises(InvalidOperation, match="transaction has ended"):
            await strays[0]

    await work()
    assert [document["_id"] async for document in collection.find()] == [2]


def test_a_thread_that_outlives_the_block_gets_an_error(client, mongodb_database_name):
    collection = client[mongodb_database_name].c
    over, errors = threading.Event(), []

    def work():
        over.wait()
        try:
            collection.insert_one({"_id": 2})
        except InvalidOperation as error:
            errors.append(str(error))

    with atomic(client):
        collection.insert_one({"_id": 1})
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
    over.set()
    thread.join()
    assert len(errors) == 1
    assert "transaction has ended" in errors[0]
    assert collection.count_documents({}) == 1


def test_operations_waiting_for_their_turn_when_the_block_ends(client, mongodb_database_name):
    """None of them is lost, doubled or run on its own."""
    collection = client[mongodb_database_name].c
    collection.insert_one({"_id": "first"})
    done, refused = [], []

    def work(number):
        try:
            for step in range(20):
                collection.insert_one({"_id": (number * 100) + step})
                done.append(number * 100 + step)
        except InvalidOperation as error:
            refused.append(error)

    with atomic(client):
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work, number))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        collection.insert_one({"_id": "last"})
    for thread in threads:
        thread.join()
    assert {*done, "first", "last"} == {document["_id"] for document in collection.find()}


def test_listeners_are_outside(mongodb_uri, mongodb_database_name):
    """An operation of a listener would wait for the one that waits for the listener."""
    seen = []

    def hear(event):
        if event.command_name == "insert" and not seen:
            seen.append(event)
            seen.append(other[mongodb_database_name].log.insert_one({"_id": 1}))
            seen.append(current_attempt())

    with package.MongoClient(mongodb_uri, event_listeners=[Commands(hear)]) as client:
        other = client
        with pytest.raises(KeyError), atomic(client):
            client[mongodb_database_name].c.insert_one({"_id": 1})
            raise KeyError
        assert seen[2] == 0
        assert client[mongodb_database_name].log.count_documents({}) == 1
        assert client[mongodb_database_name].c.count_documents({}) == 0
