"""Options as a server sees them: in handshakes, in the monitors' questions, in commands."""

import threading

import pytest
from pymongo import ReadPreference, WriteConcern
from pymongo.driver_info import DriverInfo
from pymongo.errors import NotPrimaryError, ServerSelectionTimeoutError
from pymongo.server_api import ServerApi
from tests.drivers import DRIVER_NAME, both_drivers, eventually, ferromongo_only, package
from tests.fault.peer import Peer, delayed
from tests.fault.peer_answers import mongos, replica_set

API = ("apiVersion", "apiStrict", "apiDeprecationErrors")


def said(request):
    return {name: request.document[name] for name in API if name in request.document}


async def work(client):
    """Something of every kind of command."""
    collection = client.db.c
    await collection.insert_one({})
    await collection.with_options(write_concern=WriteConcern(0)).insert_one({})
    cursor = collection.find({}, batch_size=2)
    await cursor.to_list()
    cursor = collection.find({}, batch_size=2)
    await cursor.next()
    await cursor.close()
    async with client.start_session() as session:
        for end in ("commit_transaction", "abort_transaction"):
            await session.start_transaction()
            await collection.insert_one({}, session=session)
            await getattr(session, end)()
    await client.admin.command("ping")


ALL = (
    "insert", "find", "getMore", "killCursors", "commitTransaction", "abortTransaction", "ping",
    "endSessions",
)  # fmt: skip


@both_drivers
@pytest.mark.parametrize(
    ("api", "expected"),
    [
        (None, {}),
        (ServerApi("1"), {"apiVersion": "1"}),
        (
            ServerApi("1", strict=True, deprecation_errors=False),
            {"apiVersion": "1", "apiStrict": True, "apiDeprecationErrors": False},
        ),
    ],
    ids=["none", "version", "all"],
)
async def test_server_api_stands_in_every_command(driver, api, expected):
    with Peer(replica_set, streams=True) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(5)]
        peer.on("insert", lambda request: None if request.flags & 2 else request.ordinary())
        async with driver.client(peer.uri(), server_api=api) as client:
            await work(client)
            peer.change(setVersion=2)
            await eventually(driver, lambda: awaited(peer))
        assert set(ALL) <= set(peer.seen)
    for request in peer.requests:
        assert said(request) == expected, request
        if request.name == "hello" and api is not None:
            assert "hello" in request.document
            assert "helloOk" not in request.document


def awaited(peer):
    return [request for request in peer.of("hello") if "topologyVersion" in request.document]


def handshakes(peer):
    """What each connection said of its client; the first hello of it has that."""
    return [
        request.document["client"] for request in peer.of("hello") if "client" in request.document
    ]


@both_drivers
async def test_application_and_driver_are_named_in_every_handshake(driver):
    info = DriverInfo("Framework", "2.0", "Framework platform")
    with Peer(replica_set) as peer:
        async with driver.client(peer.uri(appname="shop"), driver=info) as client:
            await client.admin.command("ping")
    assert len(handshakes(peer)) >= 2
    for client in handshakes(peer):
        assert client["application"] == {"name": "shop"}
        assert client["driver"]["name"].endswith("|Framework")
        assert client["driver"]["version"].endswith("|2.0")
        assert client["platform"].endswith("|Framework platform")


@ferromongo_only
@both_drivers
async def test_monitors_name_ferromongo_too(driver):
    with Peer(replica_set) as peer:
        async with driver.client(peer.uri()) as client:
            await client.admin.command("ping")
    names = {client["driver"]["name"] for client in handshakes(peer)}
    assert names == {"ferromongo", "mongo-rust-driver|ferromongo"}


@both_drivers
async def test_metadata_may_be_appended_later(driver):
    """As in the specification's `metadata-not-propagated.json`: nobody connects again for it."""
    info = DriverInfo("framework", "2.0", "Framework Platform")
    with Peer(replica_set) as peer:
        async with driver.client(peer.uri(heartbeatFrequencyMS=500)) as client:
            await client.admin.command("ping")
            before = handshakes(peer)
            client.append_metadata(info)
            await client.admin.command("ping")
            assert handshakes(peer) == before
            assert len(peer.lines_used) == 1
            # New connections know it, and once only.
            for _ in range(2):
                client.append_metadata(info)
            for line in peer.connections:
                line.hang_up()
            await client.db.c.find_one()
            assert named(peer)
            if DRIVER_NAME == "ferromongo":  # PyMongo's monitors never learn of it
                await eventually(driver, lambda: len(named(peer)) >= 2)
        for client in named(peer):
            assert client["driver"]["name"].split("|").count("framework") == 1
            assert client["platform"].endswith("|Framework Platform")


def named(peer):
    return [client for client in handshakes(peer) if framework(client)]


def framework(client):
    return client["driver"]["name"].endswith("|framework")


@both_drivers
@pytest.mark.parametrize("mode", ["poll", "stream"])
async def test_server_monitoring_mode(driver, mode):
    with Peer(replica_set, streams=True) as peer:
        uri = peer.uri(serverMonitoringMode=mode, heartbeatFrequencyMS=500)
        async with driver.client(uri) as client:
            await client.admin.command("ping")
            seen = len(peer.of("hello"))
            await eventually(driver, lambda: len(peer.of("hello")) > seen + 1)
            assert bool(awaited(peer)) == (mode == "stream")


@both_drivers
async def test_concerns_and_the_rest_of_the_uri_stand_in_commands(driver):
    with Peer(mongos) as peer:
        uri = peer.uri(
            w=2, journal=True, wTimeoutMS=300, readConcernLevel="majority", retryWrites=False,
            readPreference="secondaryPreferred", maxStalenessSeconds=120,
            readPreferenceTags="dc:ny&readPreferenceTags=dc:la,rack:1&readPreferenceTags=",
            uuidRepresentation="standard",
        )  # fmt: skip
        async with driver.client(uri) as client:
            await client.db.c.insert_one({"_id": 1})
            await client.db.c.find_one()
        [insert] = peer.of("insert")
        assert insert.document["writeConcern"] == {"w": 2, "j": True, "wtimeout": 300}
        assert "txnNumber" not in insert.document
        [find] = peer.of("find")
        assert find.document["readConcern"] == {"level": "majority"}
        assert find.document["$readPreference"] == {
            "mode": "secondaryPreferred",
            "tags": [{"dc": "ny"}, {"dc": "la", "rack": "1"}, {}],
            "maxStalenessSeconds": 120,
        }


@both_drivers
@pytest.mark.parametrize("retry", [True, False])
async def test_retry_options_of_the_uri(driver, retry):
    with Peer(replica_set) as peer:
        uri = peer.uri(retryWrites=retry, retryReads=retry)
        async with driver.client(uri) as client:
            await client.db.c.insert_one({})
            peer.once("find", {"ok": 0, "code": 11600, "errmsg": "shutting down"})
            try:
                await client.db.c.find_one()
            except NotPrimaryError:
                assert not retry
        assert ("txnNumber" in peer.of("insert")[0].document) == retry
        assert peer.seen["find"] == 1 + retry


@both_drivers
async def test_a_server_selector_sees_the_suitable_servers(driver):
    seen = []

    def choose(servers):
        seen.append(servers)
        return [server for server in servers if server.address[1] == wanted]

    with Peer(replica_set, addresses=3, tags={"dc": "ny"}) as peer:
        ports = [int(address.rpartition(":")[2]) for address in peer.addresses]
        async with driver.client(peer.uri(), server_selector=choose) as client:
            wanted = ports[0]  # read by the selector
            await client.db.c.insert_one({})
            nearest = client.db.c.with_options(read_preference=ReadPreference.NEAREST)
            await eventually(driver, lambda: len(client.nodes) == 3)
            for port in reversed(ports):  # to end the sessions takes the primary
                wanted = port
                await nearest.find_one()
            [*_, last] = seen
        assert [request.address for request in peer.of("find")] == [2, 1, 0]
        assert [request.address for request in peer.of("insert")] == [0]
        assert seen[0] != last
        kinds = {server.address[1]: server.server_type_name for server in last}
        assert kinds == {ports[0]: "RSPrimary", ports[1]: "RSSecondary", ports[2]: "RSSecondary"}
        for server in last:
            assert server.replica_set_name == "rs"
            assert server.tags == {"dc": "ny"}
            assert server.all_hosts == {("127.0.0.1", port) for port in ports}
            assert 0 < server.round_trip_time < 10
            assert server.max_wire_version == 21


@ferromongo_only  # PyMongo forgets an abort that timed out
@both_drivers
async def test_a_server_selector_runs_in_its_caller_s_thread_only(driver):
    threads = set()

    def choose(servers):
        threads.add(threading.get_ident())
        return servers

    with Peer(replica_set) as peer:
        async with (
            driver.client(peer.uri(), server_selector=choose) as client,
            client.start_session() as session,
        ):
            await session.start_transaction()
            await client.db.c.insert_one({}, session=session)
            peer.once("abortTransaction", delayed(1))
            with package.timeout(0.2):
                await session.abort_transaction()
            await eventually(driver, lambda: peer.seen["abortTransaction"] == 2)
    assert threads == {threading.get_ident()}


class Refused(Exception):
    pass


@both_drivers
async def test_what_a_server_selector_raises_reaches_the_caller(driver):
    raised = Refused("not today")

    def refuse(servers):
        raise raised

    with Peer(replica_set) as peer:
        async with driver.client(peer.uri(), server_selector=refuse) as client:
            with pytest.raises(Refused) as caught:
                await client.db.c.find_one()
            assert caught.value is raised
            assert any(entry.name == "refuse" for entry in caught.traceback)
            with pytest.raises(Refused):
                await client.db.c.insert_one({})
        assert not peer.seen["find"]


@both_drivers
async def test_a_server_selector_that_wants_nobody_is_asked_until_the_time_is_up(driver):
    asked = []
    with Peer(replica_set) as peer:
        options = {"server_selector": asked.append, "serverSelectionTimeoutMS": 700}
        async with driver.client(peer.uri(), **options) as client:
            with pytest.raises(ServerSelectionTimeoutError, match="RSPrimary"):
                await client.db.c.find_one()
    assert len(asked) > 1


@both_drivers
async def test_a_server_selector_is_not_asked_where_there_is_no_choice(driver):
    asked = []
    with Peer() as peer:
        async with driver.client(peer.uri(), server_selector=asked.append) as client:
            await client.db.c.find_one()
    assert not asked


@ferromongo_only
@both_drivers
async def test_a_server_selector_may_look_at_its_client_and_use_others(driver):
    """PyMongo calls it under its topology's lock."""
    from ferromongo import MongoClient

    found = []

    def choose(servers):
        found.append((client.nodes, other.admin.command("ping")["ok"]))
        return servers

    with Peer(replica_set) as peer, MongoClient(peer.uri()) as other:
        async with driver.client(peer.uri(), server_selector=choose) as client:
            await client.db.c.find_one()
        nodes, ok = found[0]
        assert ok == 1
        assert {f"{host}:{port}" for host, port in nodes} == set(peer.addresses)
