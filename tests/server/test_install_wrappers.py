"""Agents that wrap PyMongo's methods, before and after `ferromongo.install()`."""

from tests.server.install_programs import run

# As agents do it; `calls` has what they measured.
WRAPPERS = """
import functools, sys, warnings
import gridfs, pymongo
from pymongo.collection import Collection

calls = []

def closure(cls, name):
    original = getattr(cls, name)

    @functools.wraps(original)
    def wrapper(self, *args, **kwargs):
        calls.append((type(self).__module__.partition(".")[0], name))
        return original(self, *args, **kwargs)

    wrapper.marked = True
    setattr(cls, name, wrapper)

def default(cls, name):
    def wrapper(self, *args, _original=getattr(cls, name), **kwargs):
        calls.append((type(self).__module__.partition(".")[0], name))
        return _original(self, *args, **kwargs)

    setattr(cls, name, wrapper)
"""


def test_wrappers_found_at_install_are_carried_over(mongodb_uri: str) -> None:
    run(
        WRAPPERS
        + """
closure(Collection, "find_one")
closure(Collection, "find_one")  # two agents
default(Collection, "insert_one")
closure(pymongo.MongoClient, "__init__")
closure(pymongo.database.Database, "command")
Collection.first = lambda self: self.find_one({}, sort=[("_id", 1)])  # a method of one's own
address = pymongo.MongoClient.address.fget

def measured_address(self, _address=address):
    calls.append((type(self).__module__.partition(".")[0], "address"))
    return _address(self)

pymongo.MongoClient.address = property(measured_address)
import ferromongo

plain = ferromongo.collection.Collection.find_one
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ferromongo.install()
    ferromongo.install()
with pymongo.MongoClient(sys.argv[1]) as client:
    things = client.install_wrappers.things
    things.insert_one({"_id": 1})
    assert things.find_one({}) == {"_id": 1}
    assert client.admin.command("ping")["ok"] == 1
    found = [name for of, name in calls if of == "ferromongo"]
    assert found[:5] == ["__init__", "insert_one", "find_one", "find_one", "command"], calls
    assert things.first() == {"_id": 1}
    assert client.address and calls[-1] == ("ferromongo", "address")
    assert ferromongo.collection.Collection.find_one.marked
    assert ferromongo.collection.Collection.find_one.__wrapped__.__wrapped__ is plain
    client.drop_database("install_wrappers")
calls.clear()
ferromongo.uninstall()
assert ferromongo.collection.Collection.find_one is plain
assert not hasattr(ferromongo.collection.Collection, "first")
with pymongo.MongoClient(sys.argv[1]) as client:
    assert client.install_wrappers.things.find_one({}) is None
assert calls == [("pymongo", "__init__"), ("pymongo", "find_one"), ("pymongo", "find_one")]
""",
        mongodb_uri,
    )


def test_wrappers_that_cannot_be_carried_over_are_named() -> None:
    run(
        WRAPPERS
        + """
from pymongo.synchronous.pool import Connection

original = Collection.find

def through_a_global(self, *args, **kwargs):
    return original(self, *args, **kwargs)

Collection.find = through_a_global
closure(Connection, "command")
closure(pymongo.cursor.Cursor, "_query_spec")
closure(pymongo.cursor.Cursor.__mro__[1], "_die_no_lock")
import logging
import ferromongo

said = []
logging.getLogger("ferromongo").addFilter(lambda record: said.append(record.getMessage()))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ferromongo.install()
    ferromongo.install()  # says nothing new
(warning,) = caught
assert warning.category is RuntimeWarning and warning.filename == "<string>"
for name in ("Collection.find", "Cursor._query_spec"):
    assert name + " (by __main__)" in str(warning.message), warning.message
(message,) = said
for name in ("Connection.command", "._die_no_lock"):
    assert name + " (by __main__)" in message
    assert name not in str(warning.message)
assert ferromongo.collection.Collection.find is not through_a_global
"""
    )


def test_wrappers_within_pymongos_engine_are_no_error_where_warnings_are(mongodb_uri: str) -> None:
    run(
        WRAPPERS
        + """
from pymongo.synchronous.pool import Pool

closure(Pool, "checkout")
with pymongo.MongoClient(sys.argv[1], connect=False) as before:
    import logging
    import ferromongo

    logging.getLogger("ferromongo").setLevel(logging.ERROR)
    warnings.simplefilter("error")
    ferromongo.install()
    with pymongo.MongoClient(sys.argv[1]) as client:
        assert client.admin.command("ping")["ok"] == 1
    assert not calls
    assert before.admin.command("ping")["ok"] == 1
assert set(calls) == {("pymongo", "checkout")}
""",
        mongodb_uri,
    )


def test_wrappers_of_refresh_see_each_batch(mongodb_uri: str) -> None:
    """Elastic APM's is made by wrapt, on the class of the synchronous API."""
    run(
        """
        import asyncio, sys
        import pymongo, wrapt

        calls = []

        def first(wrapped, instance, args, kwargs):
            size = wrapped(*args, **kwargs)
            calls.append((type(instance).__module__.partition(".")[0], size, instance.address))
            return size

        async def awaited(wrapped, instance, args, kwargs):
            size = await wrapped(*args, **kwargs)
            calls.append((instance.collection.name, size))
            return size

        wrapt.wrap_function_wrapper("pymongo.cursor", "Cursor._refresh", first)
        import ferromongo

        ferromongo.install()
        with pymongo.MongoClient(sys.argv[1]) as client:
            things = client.install_wrappers.things
            things.drop()
            things.insert_many([{"_id": n} for n in range(5)])
            cursor = things.find(batch_size=3)
            next(cursor)
            assert [thing["_id"] for thing in cursor] == [1, 2, 3, 4]
            assert [call[1] for call in calls] == [3, 2, 0], calls
            assert {call[0] for call in calls} == {"ferromongo"}
            assert calls[0][2] == client.address
            calls.clear()
            # Another agent, while there are cursors.
            cursor = things.find(batch_size=2)
            next(cursor)
            wrapt.wrap_function_wrapper("pymongo.synchronous.cursor", "Cursor._refresh", first)
            assert len(cursor.to_list()) == 4
            assert [call[1] for call in calls] == [2, 2, 2, 1, 1], calls

        async def main():
            wrapt.wrap_function_wrapper(
                "pymongo.asynchronous.cursor", "AsyncCursor._refresh", awaited
            )
            async with pymongo.AsyncMongoClient(sys.argv[1]) as client:
                calls.clear()
                things = client.install_wrappers.things
                assert len(await things.find(batch_size=3).to_list()) == 5
                assert [thing["_id"] async for thing in things.find()] == [0, 1, 2, 3, 4]
                assert calls == [("things", 3), ("things", 2), ("things", 5), ("things", 0)], calls
                await client.drop_database("install_wrappers")

        asyncio.run(main())
        """,
        mongodb_uri,
    )


def test_names_that_others_have_replaced_are_left_and_named() -> None:
    run(
        WRAPPERS
        + """
import pymongo.mongo_client

class Traced:
    pass

pymongo.MongoClient = Traced
import ferromongo

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ferromongo.install()
    ferromongo.install()
(warning,) = caught
assert "pymongo.MongoClient (<class '__main__.Traced'>)" in str(warning.message)
assert pymongo.MongoClient is Traced
assert pymongo.mongo_client.MongoClient is ferromongo.MongoClient
ferromongo.uninstall()
assert pymongo.MongoClient is Traced
"""
    )


def test_agents_that_load_after_install_wrap_our_classes(mongodb_uri: str) -> None:
    run(
        WRAPPERS
        + """
import ferromongo

plain = vars(ferromongo.collection.Collection)["find_one"]
ferromongo.install()
closure(pymongo.collection.Collection, "find_one")
with pymongo.MongoClient(sys.argv[1]) as client:
    client.install_wrappers.things.find_one({})
assert calls == [("ferromongo", "find_one")]
wrapped = ferromongo.collection.Collection.find_one
ferromongo.uninstall()
assert ferromongo.collection.Collection.find_one is wrapped is not plain  # the agent's business
""",
        mongodb_uri,
    )


def test_wrappers_of_wrapt_are_carried_over(mongodb_uri: str) -> None:
    run(
        """
        import asyncio, sys
        import pymongo, wrapt
        from pymongo.asynchronous import collection

        calls = []

        @wrapt.patch_function_wrapper("pymongo.synchronous.collection", "Collection.find_one")
        def measured(wrapped, instance, args, kwargs):
            calls.append((type(instance).__module__.partition(".")[0], args))
            return wrapped(*args, **kwargs)

        @wrapt.decorator
        def decorated(wrapped, instance, args, kwargs):
            calls.append((type(instance).__module__.partition(".")[0], wrapped.__name__))
            return wrapped(*args, **kwargs)

        async def awaited(wrapped, instance, args, kwargs):
            calls.append((type(instance).__module__.partition(".")[0], "async"))
            return await wrapped(*args, **kwargs)

        pymongo.collection.Collection.find = decorated(pymongo.collection.Collection.find)
        wrapt.wrap_function_wrapper(collection, "AsyncCollection.find_one", awaited)
        import ferromongo

        ferromongo.install()
        with pymongo.MongoClient(sys.argv[1]) as client:
            client.install_wrappers.things.find_one({})
            client.install_wrappers.things.find({})
        assert calls[0] == ("ferromongo", ({},)) and ("ferromongo", "find") in calls

        async def main():
            async with pymongo.AsyncMongoClient(sys.argv[1]) as client:
                assert await client.install_wrappers.things.find_one({}) is None

        asyncio.run(main())
        assert ("ferromongo", "async") in calls
        ferromongo.uninstall()
        calls.clear()
        with ferromongo.MongoClient(sys.argv[1]) as client:
            client.install_wrappers.things.find_one({})
        assert not calls
        """,
        mongodb_uri,
    )


def test_private_names_that_libraries_use(mongodb_uri: str) -> None:
    run(
        """
        import asyncio, sys
        import pymongo, ferromongo

        ferromongo.install()
        with pymongo.MongoClient(sys.argv[1]) as client:
            things = client.install_wrappers.things
            things.drop()
            assert things.find()._refresh() == 0
            things.insert_many([{"_id": n} for n in range(7)])
            cursor = things.find({"_id": {"$lt": 6}}, batch_size=4)
            assert cursor._spec == {"_id": {"$lt": 6}}
            assert cursor._refresh() == 4 == cursor._refresh() and cursor._retrieved == 4
            next(cursor)
            assert cursor._refresh() == 3
            assert cursor._id == cursor.cursor_id and cursor._address == cursor.address
            assert [thing["_id"] for thing in cursor] == [1, 2, 3, 4, 5]
            assert cursor._refresh() == 0
            assert things.aggregate([])._refresh() == 7
            with client.start_session() as session:
                assert session._server_session.session_id == session.session_id
            assert session._server_session is None
            assert client._topology.description.topology_type_name.startswith("ReplicaSet")
            session = client.start_session()
            session.advance_cluster_time(client._topology.max_cluster_time())
            assert session.cluster_time == client._topology.max_cluster_time()
            assert client._options is client.options and not client._closed
            client.drop_database("install_wrappers")
        assert client._closed

        async def main():
            async with pymongo.AsyncMongoClient(sys.argv[1]) as client:
                things = client.install_wrappers.things
                await things.insert_one({"_id": 1})
                cursor = things.find()
                assert await cursor._refresh() == 1
                assert await cursor.to_list() == [{"_id": 1}]
                await client.drop_database("install_wrappers")

        asyncio.run(main())
        ferromongo.uninstall()
        assert not hasattr(ferromongo.cursor.Cursor, "_spec")
        """,
        mongodb_uri,
    )
