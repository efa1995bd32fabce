"""Context variables: what one task sets, no other task's callbacks see and no client keeps."""

import asyncio
import contextvars
import gc
import weakref

import pytest
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from tests.drivers import ferromongo_only, package

current = contextvars.ContextVar("current", default=None)


class Value:
    """Something weak references can point to."""


@ferromongo_only
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_first_callers_context_is_not_kept_alive(loop, mongodb_uri, mongodb_database_name):
    async def first_caller(client):
        value = Value()
        current.set(value)
        await client[mongodb_database_name].c.find_one()
        return weakref.ref(value)

    async def main():
        async with package.AsyncMongoClient(mongodb_uri) as client:
            seen = await asyncio.create_task(first_caller(client))
            await client[mongodb_database_name].c.find_one()
            gc.collect()
            # The client lives, its connections are registered; the task's value is gone.
            assert seen() is None

    factory = asyncio.new_event_loop if loop == "asyncio" else __import__("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def test_decoders_see_their_own_callers_context(mongodb_uri, mongodb_database_name):
    seen = []

    class Recorder(TypeDecoder):
        bson_type = str

        def transform_bson(self, value):
            seen.append((value, current.get()))
            return value

    options = CodecOptions(type_registry=TypeRegistry([Recorder()]))
    names = [f"task{n}" for n in range(20)]
    async with package.AsyncMongoClient(mongodb_uri, maxPoolSize=2) as client:
        collection = client[mongodb_database_name].get_collection("c", codec_options=options)
        await collection.insert_many([{"_id": name} for name in names])

        async def find(name):
            current.set(name)
            await collection.find_one({"_id": name}, {"_id": 1})
            assert current.get() == name

        await asyncio.gather(*map(find, names))
    assert sorted(context for value, context in seen if value == context) == sorted(names)
    assert not [context for value, context in seen if value in names and value != context]


async def test_transaction_callbacks_see_their_callers_context(mongodb_uri, mongodb_database_name):
    async with package.AsyncMongoClient(mongodb_uri) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(5)])

        async def transact(n):
            current.set(n)

            async def callback(session):
                await collection.update_one({"_id": n}, {"$set": {"x": 1}}, session=session)
                return current.get()

            async with client.start_session() as session:
                return await session.with_transaction(callback)

        assert await asyncio.gather(*map(transact, range(5))) == list(range(5))
