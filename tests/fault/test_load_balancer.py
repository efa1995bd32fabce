"""Talking to a load balancer: the handshake, selection without monitors, what errors clear.

The cases of the load balancers specification that are not about pinned connections.
"""

import pytest
from bson import ObjectId
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.read_preferences import SecondaryPreferred
from tests.drivers import both_drivers, eventually, package, takes
from tests.fault.balanced import balanced, commands
from tests.fault.peer import Peer, cut
from tests.fault.peer_answers import load_balancer, mongos, standalone


@both_drivers
async def test_the_handshake_says_so_and_nobody_monitors(driver):
    async with balanced(driver) as (peer, client):
        await client.admin.command("ping")
        (hello,) = peer.of("hello")
        assert next(iter(hello.document)) == "hello"
        assert hello.document["loadBalanced"] is True
        assert not hello.legacy
    assert len(peer.connections) == 1


@pytest.mark.parametrize("role", [standalone, mongos], ids=lambda role: role.__name__)
@both_drivers
async def test_a_server_that_is_no_balancer_is_refused(driver, role):
    refusal = "initialize in load balancing mode, but the server does not support this mode"
    with Peer(role) as peer:
        async with driver.client(peer.uri(loadBalanced=True)) as client:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match=refusal):
                    await client.admin.command("ping")
        async with driver.client(peer.uri(loadBalanced=False)) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
    assert peer.seen["ping"] == 1


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://a,b/?loadBalanced=true",
        "mongodb://a/?loadBalanced=true&replicaSet=rs",
        "mongodb://a/?loadBalanced=true&directConnection=true",
    ],
)
def test_what_does_not_go_together(uri):
    with pytest.raises(ConfigurationError):
        package.MongoClient(uri, connect=False)


@both_drivers
async def test_nobody_there(driver):
    with Peer(load_balancer) as peer:
        uri = peer.uri(serverSelectionTimeoutMS=30000)
    async with driver.client(uri) as client:
        with takes(0, 5), pytest.raises(AutoReconnect) as failure:
            await client.admin.command("ping")
        assert not isinstance(failure.value, ServerSelectionTimeoutError)


@both_drivers
async def test_the_read_preference_is_sent(driver):
    async with balanced(driver) as (peer, client):
        collection = client.db.get_collection("c", read_preference=SecondaryPreferred())
        await collection.find_one()
        (find,) = peer.of("find")
        assert find.document["$readPreference"] == {"mode": "secondaryPreferred"}


@both_drivers
async def test_a_retried_write_keeps_its_number(driver):
    async with balanced(driver) as (peer, client):
        peer.once("insert", cut(0))
        await client.db.c.insert_one({})
        first, second = peer.of("insert")
        assert first.document["txnNumber"] == second.document["txnNumber"]
        assert first.connection is not second.connection


@both_drivers
async def test_a_batch_is_as_large_as_the_connections_server_allows(driver):
    with Peer(load_balancer, maxWriteBatchSize=3) as peer:
        async with driver.client(peer.uri()) as client:
            await client.admin.command("ping")
            await client.db.c.insert_many([{} for _ in range(7)])
    assert [len(request.document["documents"]) for request in peer.of("insert")] == [3, 3, 1]


@both_drivers
async def test_errors_of_hello_harm_no_other_connection(driver):
    async with balanced(driver, maxPoolSize=2, retryReads=False) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.once("hello", {"ok": 0, "code": 11600, "errmsg": "going down"}, cut(0))
        for _ in range(2):
            with pytest.raises((AutoReconnect, OperationFailure)):
                await client.db.c.find_one()
        assert await cursor.to_list() == [{"_id": 2}]
        assert await client.db.c.find_one() == {"_id": 0}
    assert commands(peer) == [["find", "getMore", "find"]]


GOING_DOWN = {"ok": 0, "code": 11600, "errmsg": "going down"}


@both_drivers
async def test_an_error_clears_the_connections_of_its_service_only(driver):
    options = {"maxPoolSize": 2, "retryWrites": False}
    async with balanced(driver, **options) as (peer, client):
        cursors = [client.db.c.find(batch_size=2) for _ in range(2)]
        for cursor in cursors:
            await cursor.next()
        for cursor in cursors:
            await cursor.close()
        peer.once("insert", GOING_DOWN)
        with pytest.raises(AutoReconnect):
            await client.db.c.insert_one({})
        await client.db.c.insert_one({})
        failed, worked = peer.of("insert")
        assert failed.connection is not worked.connection
        await eventually(driver, lambda: not failed.connection.open)
        assert worked.connection.open
    assert len(peer.connections) == 2


@both_drivers
@pytest.mark.parametrize("kind", ["find", "aggregate"])
async def test_get_more_is_retried_on_its_connection_on_overload(driver, kind):
    """As PyMongo does from 4.20.1 on."""
    refused = {"ok": 0, "code": 2, "errmsg": "busy", "errorLabels": BUSY}
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        if kind == "aggregate":
            cursor = await client.db.c.aggregate([], batchSize=2)
        assert await cursor.to_list(2) == [{"_id": 0}, {"_id": 1}]
        peer.once("getMore", refused, refused)
        assert await cursor.to_list() == [{"_id": 2}]
        assert commands(peer) == [[kind, *["getMore"] * 3]]

        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.once("getMore", refused, refused, refused)
        with pytest.raises(OperationFailure):
            await cursor.to_list()
        await eventually(driver, lambda: peer.seen["killCursors"] == 1)
        assert peer.seen["getMore"] == 6
    assert len(peer.connections) == 1


BUSY = ["RetryableError", "SystemOverloadedError"]


def at_one_service(peer):
    """All connections lead to the same server from now on."""
    service = ObjectId()
    peer.on_connect = lambda line: setattr(line, "service", service)


@both_drivers
async def test_an_error_of_an_older_generation_is_ignored(driver):
    options = {"maxPoolSize": 3, "retryWrites": False}
    async with balanced(driver, **options) as (peer, client):
        at_one_service(peer)
        cursors = [client.db.c.find(batch_size=2) for _ in range(2)]
        for cursor in cursors:
            await cursor.to_list(2)
        peer.once("getMore", cut(0), cut(0))
        for cursor in cursors:
            with pytest.raises(AutoReconnect):
                await cursor.next()
            await client.db.c.insert_one({})
    first, second = peer.of("insert")
    assert first.connection is second.connection
    assert len(peer.connections) == 3


@both_drivers
async def test_an_error_of_authentication_clears_its_service(driver):
    options = {"maxPoolSize": 2, "retryReads": False, "authMechanism": "PLAIN"}
    async with balanced(driver, **options, username="u", password="p") as (peer, client):
        at_one_service(peer)
        peer.on("saslStart", {"ok": 1, "done": True, "conversationId": 1, "payload": b""})
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.once("saslStart", cut(0))
        with pytest.raises(AutoReconnect):
            await client.db.c.find_one()
        assert await cursor.to_list() == [{"_id": 2}]
        assert await client.db.c.find_one() == {"_id": 0}
    expected = [["saslStart", "find", "getMore"], ["saslStart"], ["saslStart", "find"]]
    assert commands(peer) == expected
