"""The same program with listeners on ferromongo and on PyMongo: they hear the same.

The server is one member that wants authentication, so that the order of events is certain. What
differs from run to run (ids, times, ports) is replaced: see heard.py.
"""

import pymongo
import pytest
from pymongo import WriteConcern, monitoring
from pymongo.errors import OperationFailure, PyMongoError
from tests.drivers import AsyncDriver, Awaitable, SyncDriver, eventually
from tests.listeners import COMMANDS, Recorder
from tests.parity.heard import commands

import ferromongo
from ferromongo.embedded import ReplicaSet

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


@program
async def reads_and_writes(client):
    collection = client.shop.orders
    await collection.insert_one({"_id": 1, "item": "tea"})
    await collection.update_one({"_id": 1}, {"$set": {"item": "coffee"}})
    await collection.find_one({"_id": 1}, {"item": 1})
    await collection.find_one_and_delete({"_id": 1})
    await client.shop.command("ping")
    await collection.create_index("item")
    await collection.drop()


@program
async def a_cursor_read_and_one_closed(client):
    collection = client.shop.orders
    await collection.insert_many([{"_id": n} for n in range(5)])
    [document async for document in collection.find(batch_size=2, sort=[("_id", 1)])]
    cursor = collection.find(batch_size=2, sort=[("_id", 1)])
    await cursor.next()
    await cursor.close()
    await (await collection.aggregate([{"$match": {"_id": 3}}])).to_list()


@program
async def errors(client):
    collection = client.shop.orders
    for refused in (
        lambda: collection.find_one({"$no": 1}),
        lambda: collection.insert_many([{"_id": 1}, {"_id": 1}]),
        lambda: client.shop.command("noSuchCommand", 1),
        lambda: client.admin.command("saslStart", 1, mechanism="NONE", payload=b""),
    ):
        with pytest.raises(PyMongoError):
            await refused()


@program
async def errors_that_are_allowed(client):
    shop = client.shop
    missing = shop.missing
    await missing.drop()
    await shop.drop_collection("missing")
    await missing.drop_indexes()
    await missing.drop_index("x_1")
    assert await missing.count_documents({}) == 0
    assert await missing.index_information() == {}
    for how in ({"check": False}, {"allowable_errors": [59]}, {"allowable_errors": ["x", 59]}):
        assert (await shop.command("noSuchCommand", **how))["code"] == 59
    assert (await shop.command("create", "a", capped=True, check=False))["ok"] == 0
    for how in ({"allowable_errors": [1]}, {"allowable_errors": ["no such command"]}):
        with pytest.raises(OperationFailure):
            await shop.command("noSuchCommand", **how)
    await shop.other.insert_one({"_id": 1})
    with pytest.raises(OperationFailure):  # there is a collection, but no such index
        await shop.other.drop_index("x_1")


@program
async def an_allowed_error_that_the_server_would_be_left_for(client):
    """Not primary: neither is the server taken for unknown nor the pool cleared."""
    for how in ({"check": False}, {"allowable_errors": [10107]}):
        data = {"failCommands": ["ping"], "errorCode": 10107}
        mode = {"times": 1}
        await client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
        assert (await client.admin.command("ping", **how))["code"] == 10107


@program
async def an_allowed_error_in_a_transaction(client):
    await client.shop.create_collection("orders")
    async with client.start_session() as session:
        await _begin(session)
        await client.shop.orders.insert_one({}, session=session)
        reply = await client.shop.command("noSuchCommand", session=session, check=False)
        assert reply["ok"] == 0
        await session.abort_transaction()


@program
async def unacknowledged(client):
    orders = client.shop.get_collection("orders", write_concern=WriteConcern(0))
    await orders.insert_one({"_id": 1})


@program
async def a_retry(client):
    for operation, fail in (
        (lambda: client.shop.orders.insert_one({"_id": 1}), {"closeConnection": True}),
        (lambda: client.shop.orders.find_one({"_id": 1}), {"errorCode": 6}),
    ):
        data = {"failCommands": ["insert", "find"], **fail}
        await client.admin.command(
            "configureFailPoint", "failCommand", mode={"times": 1}, data=data
        )
        await operation()


@program
async def two_batches(client):
    """A batch holds 100,000 documents."""
    orders = client.shop.get_collection("orders", write_concern=WriteConcern(1))
    await orders.insert_many([{"_id": n} for n in range(100_001)])


@program
async def a_transaction(client):
    await client.shop.create_collection("orders")
    async with client.start_session() as session:
        for end in (session.commit_transaction, session.abort_transaction):
            await _begin(session)
            await client.shop.orders.insert_one({}, session=session)
            await end()


async def _begin(session):
    begun = session.start_transaction()
    if not isinstance(begun, Awaitable) and hasattr(begun, "__await__"):
        await begun


@pytest.fixture(scope="module")
def server():
    with ReplicaSet(members=1, auth=("user", "pencil")) as replica_set:
        yield replica_set


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_is_heard(name, driver_class, server):
    heard = []
    for package in (pymongo, ferromongo):
        with pymongo.MongoClient(server.uri) as admin:
            admin.drop_database("shop")
        recorder, driver = Recorder(), driver_class()
        driver.run(_play(PROGRAMS[name], driver, package, server.uri, recorder))
        heard.append(recorder)
    for normalised in (commands, _of_pools, _of_topology):
        theirs, ours = map(normalised, heard)
        for here, there in zip(ours, theirs, strict=False):
            assert here == there
        assert len(ours) == len(theirs) >= 4
    if name != "a_retry":  # then the order of discovery is a matter of luck
        assert ours[-1][0] == "TopologyClosedEvent"


async def _play(program, driver, package, uri, recorder):
    name = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, name)(uri, event_listeners=[recorder])
    async with Awaitable(client) if driver.name == "sync" else client as client:
        await program(client)
    await eventually(driver, lambda: recorder.of(monitoring.TopologyClosedEvent))


def _of_pools(recorder):
    """Events of pools and connections, and between which commands they were."""
    told = []
    for event in recorder.of(*COMMANDS, monitoring._PoolEvent):
        if isinstance(event, COMMANDS):
            told.append(event.command_name)
        else:
            details = [
                getattr(event, name, None) for name in ("connection_id", "reason", "options")
            ]
            told.append((type(event).__name__, event.address, *details))
    return told


def _of_topology(recorder):
    told = []
    for event in recorder.of(monitoring.TopologyEvent, monitoring._ServerEvent):
        kind = type(event).__name__
        if "Changed" not in kind:
            told.append((kind,))
            continue
        old, new = event.previous_description, event.new_description
        told.append((kind, _description(old), _description(new)))
    return [item for item in told if "lost" not in item]


def _description(description):
    if hasattr(description, "server_descriptions"):
        servers = description.server_descriptions().values()
        return description.topology_type_name, [_description(server) for server in servers]
    fields = (
        *("address", "server_type_name", "all_hosts", "tags", "replica_set_name", "primary"),
        *("max_bson_size", "max_message_size", "max_write_batch_size", "min_wire_version"),
        *("max_wire_version", "set_version", "election_id", "me", "is_writable", "is_readable"),
        "logical_session_timeout_minutes",
    )
    error = type(description.error).__name__
    return {"error": error, **{field: getattr(description, field) for field in fields}}
