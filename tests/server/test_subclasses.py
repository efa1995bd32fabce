"""Subclasses and patches of collections: other methods use what they override, as with PyMongo."""

import gc
import logging
from unittest import mock

from tests.drivers import package

DOCUMENTS = [{"_id": 1, "deleted": True}, {"_id": 2, "deleted": False}]


def live(base):
    class Live(base):
        def find(self, filter=None, *args, **kwargs):
            return super().find({**(filter or {}), "deleted": False}, *args, **kwargs)

    return Live


def test_find_one_uses_an_overridden_find(client, mongodb_database_name):
    plain = client[mongodb_database_name].x
    plain.insert_many(DOCUMENTS)
    filtered = live(package.collection.Collection)(client[mongodb_database_name], "x")
    assert filtered.find_one(1) is None
    assert filtered.find_one() == filtered.find_one({}, sort=[("_id", 1)]) == DOCUMENTS[1]
    assert filtered.find_one(2, {"_id": 1}) == {"_id": 2}
    assert plain.find_one(1) == DOCUMENTS[0]
    with mock.patch.object(plain, "find", filtered.find):
        assert plain.find_one(1) is None


async def test_find_one_uses_an_overridden_find_of_an_async_collection(
    async_client, mongodb_database_name
):
    plain = async_client[mongodb_database_name].x
    await plain.insert_many(DOCUMENTS)
    base = package.asynchronous.collection.AsyncCollection
    filtered = live(base)(async_client[mongodb_database_name], "x")
    assert await filtered.find_one(1) is None
    assert await filtered.find_one() == DOCUMENTS[1]
    assert await plain.find_one(1) == DOCUMENTS[0]
    with mock.patch.object(plain, "find", filtered.find):
        assert await plain.find_one(1) is None


def test_operations_of_a_log_handler_are_not_logged(client, mongodb_database_name):
    collection = client[mongodb_database_name].x
    collection.insert_one({"_id": 1})
    records = 0

    class Handler(logging.Handler):
        def emit(self, record):
            nonlocal records
            records += 1
            collection.find_one({"_id": 1})

    logger, handler = logging.getLogger("pymongo.command"), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        collection.find_one({"_id": 1})
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
    assert records == 2
    assert collection.find_one({"_id": 1}) == {"_id": 1}


def test_iteration_uses_a_patched_next_of_a_cursor_at_any_time(client, mongodb_database_name):
    collection = client[mongodb_database_name].x
    collection.insert_many([{"_id": i} for i in range(9)])
    kind = package.cursor.Cursor
    cursor = collection.find(batch_size=4)
    assert [next(cursor)["_id"] for _ in range(2)] == [0, 1]
    with mock.patch.object(cursor, "next", return_value="patched"):
        assert next(cursor) == "patched"
    assert next(cursor) == {"_id": 2}
    cursor.marked = True
    with mock.patch.object(kind, "next", return_value="patched"):
        assert next(cursor) == next(collection.find()) == collection.find_one() == "patched"
    del cursor.marked
    cursor.next = lambda: kind.next(cursor)["_id"]
    assert list(cursor) == [3, 4, 5, 6, 7, 8]
    assert [found["_id"] for found in collection.find()] == list(range(9))


async def test_async_iteration_uses_a_patched_next_at_any_time(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].x
    await collection.insert_many([{"_id": i} for i in range(9)])
    kind = package.asynchronous.cursor.AsyncCursor
    cursor = collection.find(batch_size=4)
    assert [(await anext(cursor))["_id"] for _ in range(2)] == [0, 1]
    with mock.patch.object(cursor, "next", return_value="patched"):
        assert await anext(cursor) == "patched"
    assert await anext(cursor) == {"_id": 2}
    with mock.patch.object(kind, "next", return_value="patched"):
        assert await anext(cursor) == await collection.find_one() == "patched"
    assert [found["_id"] async for found in cursor] == [3, 4, 5, 6, 7, 8]


def test_two_cursors_in_step_with_patches_keep_apart(client, mongodb_database_name):
    collection = client[mongodb_database_name].x
    collection.insert_many([{"_id": i} for i in range(50)])
    cursors = [collection.find(batch_size=7).sort("_id") for _ in range(40)]
    for step, found in enumerate(zip(*cursors, strict=True)):
        assert {document["_id"] for document in found} == {step}
        cursors[step % 40].step = step  # changes its dict
        for cursor in cursors[::7]:
            vars(cursor).pop("step", None)


def test_a_next_that_calls_super_is_also_dunder_next(client, mongodb_database_name):
    collection = client[mongodb_database_name].x
    collection.insert_many([{"_id": i} for i in range(3)])

    class Mapped(package.cursor.Cursor):
        def next(self):
            return super().next()["_id"]

        __next__ = next

    assert list(Mapped(collection)) == [0, 1, 2]


def test_a_cursor_is_closed_by_its_own_close_at_the_end(client, mongodb_database_name):
    collection = client[mongodb_database_name].x
    collection.insert_many([{"_id": i} for i in range(5)])
    closed = []

    class Noting(package.cursor.Cursor):
        def close(self):
            closed.append(self.retrieved)
            super().close()

    assert len(list(Noting(collection, batch_size=2))) == 5
    assert closed[0] == 5
    closed.clear()
    assert len(Noting(collection, batch_size=2).to_list()) == 5
    assert closed == [5]


def test_subclasses_of_cursors_may_clean_up_after_themselves(client, mongodb_database_name):
    dropped = []

    class Noted(package.cursor.Cursor):
        def __del__(self):
            super().__del__()
            dropped.append(self.alive)

    collection = client[mongodb_database_name].x
    collection.insert_many([{"_id": number} for number in range(5)])
    cursor = Noted(collection, batch_size=2)
    next(cursor)
    del cursor
    gc.collect()
    assert len(dropped) == 1
    package.cursor.Cursor.__new__(package.cursor.Cursor).__del__()
    kind = package.asynchronous.command_cursor.AsyncCommandCursor
    kind.__new__(kind).__del__()
