"""The scripted peer is itself a server that a client gets along with, in every role."""

import pytest
from pymongo import monitoring
from pymongo.errors import AutoReconnect
from tests.drivers import both_drivers, eventually
from tests.fault.peer import Peer, cut, delayed, drip
from tests.fault.peer_answers import mongos, replica_set, standalone
from tests.listeners import Recorder

CHECKED = (monitoring.ServerHeartbeatSucceededEvent, monitoring.ServerHeartbeatFailedEvent)
ROLES = [standalone, replica_set, mongos]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.__name__)
@both_drivers
async def test_ordinary_work(driver, role):
    with Peer(role) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(10)]
        async with driver.client(peer.uri(retryReads=False)) as client:
            collection = client.db.c
            found = [document async for document in collection.find(batch_size=4)]
            assert found == peer.cursors.documents
            assert await collection.find_one() == {"_id": 0}
            assert (await collection.insert_many([{}, {}])).inserted_ids
            peer.once("find", cut(20))
            with pytest.raises(AutoReconnect):
                await collection.find_one()
            peer.once("find", delayed(0.01), drip(0.0001))
            for _ in range(2):
                assert await collection.find_one() == {"_id": 0}
    assert [peer.seen[name] for name in ("find", "getMore", "insert")] == [5, 2, 1]
    assert [len(request.document["documents"]) for request in peer.of("insert")] == [2]
    assert not any(line.open for line in peer.connections)


@both_drivers
async def test_a_cursor_that_is_closed_is_killed(driver):
    with Peer() as peer:
        peer.cursors.documents = [{"_id": n} for n in range(10)]
        async with driver.client(peer.uri()) as client:
            cursor = client.db.c.find(batch_size=3)
            await anext(cursor)
            await cursor.close()
    assert peer.cursors.killed == [1000]
    assert not peer.cursors.open


@pytest.mark.parametrize("streams", [True, False], ids=["streams", "is polled"])
@both_drivers
async def test_a_change_is_heard_of(driver, streams):
    with Peer(replica_set, addresses=2, streams=streams) as peer:
        async with driver.client(peer.uri(heartbeatFrequencyMS=500)) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
            assert {request.address for request in peer.of("ping")} == {0}
            await eventually(driver, lambda: len(client.nodes) == 2)
            peer.change(hosts=peer.addresses[:1])
            await eventually(driver, lambda: len(client.nodes) == 1)
            hellos = len(peer.of("hello"))
            await driver.sleep(0.2)
            assert len(peer.of("hello")) <= hellos + 2


@both_drivers
async def test_fields_of_hello_that_nobody_needs_may_be_odd(driver):
    """ferromongo's monitors are more particular than its other connections."""
    odd = {"setVersion": "one", "msg": 7}
    recorder = Recorder()
    with Peer(replica_set, **odd) as peer:
        options = {"heartbeatFrequencyMS": 500, "event_listeners": [recorder]}
        async with driver.client(peer.uri(), **options) as client:
            assert await client.db.c.find_one() is None
            checks = len(recorder.of(*CHECKED))
            await eventually(driver, lambda: len(recorder.of(*CHECKED)) >= checks + 3)
            assert await client.db.c.find_one() is None
        assert len({request.connection for request in peer.of("find")}) == 1
    changes = recorder.of(monitoring.ServerDescriptionChangedEvent)
    kinds = [event.new_description.server_type_name for event in changes]
    assert kinds.count("RSPrimary") <= 2, kinds
    assert kinds[kinds.index("RSPrimary") :].count("Unknown") <= 1, kinds  # closing


@both_drivers
async def test_a_transaction_through_a_mongos(driver):
    with Peer(mongos) as peer:
        async with (
            driver.client(peer.uri()) as client,
            client.start_session() as session,
            await session.start_transaction(),
        ):
            for _ in range(2):
                await client.db.c.insert_one({}, session=session)
    first, second = peer.of("insert")
    assert first.document["startTransaction"]
    assert "startTransaction" not in second.document
    assert peer.seen["commitTransaction"] == 1


@both_drivers
async def test_tls(driver, tmp_path):
    from ferromongo.embedded.certificates import make_certificates

    certificates = make_certificates(tmp_path)
    with Peer(certificates=certificates) as peer:
        uri = peer.uri(tls=True, tlsCAFile=certificates.ca_file)
        async with driver.client(uri) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
