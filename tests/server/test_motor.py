"""What Motor's API has here beyond Motor: copies, drivers on top, shared engines, encryption."""

import asyncio
import copy
import gc
import importlib
import sys
import warnings

import motor.motor_asyncio
import pytest
from bson.codec_options import CodecOptions
from pymongo.driver_info import DriverInfo
from pymongo.errors import ConfigurationError, InvalidOperation
from tests.drivers import AsyncDriver, eventually, ferromongo_only

import ferromongo
import ferromongo.motor
import ferromongo.motor_asyncio
from ferromongo.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientEncryption

pytestmark = ferromongo_only


@pytest.fixture
async def motor_client(mongodb_uri):
    client = AsyncIOMotorClient(mongodb_uri)
    yield client
    client.close()


async def test_collections_are_copied(motor_client):
    for one in (motor_client, motor_client.shop, motor_client.shop.orders):
        assert copy.copy(one) == one


def test_a_driver_on_top_is_named_in_handshakes():
    client = AsyncIOMotorClient(driver=DriverInfo("Beanie", "1.2", "odm"))
    names = client.options.pool_options.metadata["driver"]["name"].split("|")
    assert names[-2:] == ["Motor", "Beanie"]
    with pytest.raises(TypeError, match="DriverInfo"):
        AsyncIOMotorClient(driver="Beanie")


async def test_the_members_are_those_that_motor_finds(mongodb_replica_set):
    """Compared here, as tests/parity may run with a set of one member."""
    found = []
    for module in (motor.motor_asyncio, ferromongo.motor_asyncio):
        client = module.AsyncIOMotorClient(mongodb_replica_set.uri)
        await client.admin.command("ping")
        others = len(mongodb_replica_set.members) - 1
        await eventually(AsyncDriver(), lambda: len(client.secondaries) == others)  # noqa: B023
        found.append((client.primary, client.secondaries, client.arbiters, client.nodes))
        client.close()
    theirs, ours = found
    assert ours == theirs


async def test_the_delegate_shares_connections_and_sessions(motor_client, mongodb_database_name):
    collection = motor_client[mongodb_database_name].c
    assert isinstance(collection.delegate, ferromongo.collection.Collection)
    collection.delegate.insert_one({"_id": 1})  # blocks, on the loop's thread
    assert await collection.find_one() == {"_id": 1}
    async with await motor_client.start_session() as session:
        session.start_transaction()
        await collection.insert_one({"_id": 2}, session=session)
        # Either session may be passed to either.
        found = collection.delegate.find_one({"_id": 2}, session=session.delegate)
        assert found == {"_id": 2}
        assert await collection.find_one({"_id": 2}, session=session.delegate) == found
        await session.abort_transaction()
    assert await collection.count_documents({}) == 1


async def test_a_session_of_another_client_is_refused(motor_client, mongodb_uri):
    other = AsyncIOMotorClient(mongodb_uri)
    async with await other.start_session() as session:
        with pytest.raises(InvalidOperation):
            await motor_client.shop.orders.find_one({}, session=session)
        with pytest.raises(InvalidOperation):
            await motor_client.shop.orders.options(session=session)
    other.close()


async def test_operations_of_several_steps_take_sessions(motor_client, mongodb_database_name):
    database = motor_client[mongodb_database_name]
    async with await motor_client.start_session() as session:
        await database.create_collection("c", session=session)
        assert await database.list_collection_names(session=session) == ["c"]
        assert await database.c.options(session=session) == {}
        assert await database.c.create_index("x", session=session) == "x_1"
        assert set(await database.c.index_information(session)) == {"_id_", "x_1"}
        await database.drop_collection(database.c, session=session)
        await motor_client.drop_database(database, session=session)


async def test_an_unclosed_client_warns_once(mongodb_uri):
    client = AsyncIOMotorClient(mongodb_uri)
    await client.server_info()  # makes the asynchronous twin
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        delegate = client.delegate
        del client
        gc.collect()
        assert not caught
        del delegate
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]


async def test_many_tasks_use_one_client(motor_client, mongodb_database_name):
    collection = motor_client[mongodb_database_name].c

    async def work(n):
        await collection.insert_one({"_id": n})
        assert await collection.find_one({"_id": n}) == {"_id": n}
        assert await collection.find({"_id": n}).to_list(None) == [{"_id": n}]
        return n

    assert await asyncio.gather(*map(work, range(100))) == list(range(100))


async def test_encryption_asks_for_pymongocrypt(motor_client):
    if importlib.util.find_spec("pymongocrypt"):
        encryption = AsyncIOMotorClientEncryption(
            {"local": {"key": b"x" * 96}}, "vault.keys", motor_client, CodecOptions()
        )
        await encryption.close()
        return
    with pytest.raises(ConfigurationError, match="pymongocrypt"):
        AsyncIOMotorClientEncryption({}, "vault.keys", motor_client, CodecOptions())


def test_versions():
    import motor

    assert ferromongo.motor.version == motor.version == ferromongo.motor.get_version_string()
    assert tuple(ferromongo.motor.version_tuple) == tuple(motor.version_tuple)


def test_neither_package_of_handlers_is_needed():
    """`motor_asyncio` imports neither aiohttp nor Tornado."""
    program = (
        "import sys; sys.modules['aiohttp'] = sys.modules['tornado'] = None\n"
        "import ferromongo.motor_asyncio"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
