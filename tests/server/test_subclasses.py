"""Subclasses and patches of collections: other methods use what they override, as with PyMongo."""

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
