"""Peers that are silent, slow, hang up at the wrong moment or speak no TLS."""

import contextlib
import os
import socket

import pytest
from pymongo.errors import AutoReconnect, NetworkTimeout, ProtocolError, ServerSelectionTimeoutError
from tests.drivers import DRIVER_NAME, both_drivers, eventually, ferromongo_only, takes
from tests.fault.peer import Peer, delayed, drip, lying
from tests.fault.peer_answers import replica_set

from ferromongo.embedded.certificates import make_certificates

if DRIVER_NAME == "pymongo":  # which leaves sockets to the garbage collector
    pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
ONCE = {"retryReads": False, "retryWrites": False}


@both_drivers
async def test_a_reply_byte_by_byte(driver):
    with Peer() as peer:
        peer.cursors.documents = [{"_id": 1}]
        async with driver.client(peer.uri(socketTimeoutMS=5000, **ONCE)) as client:
            peer.once("find", drip(0.002))
            assert await client.db.c.find_one() == {"_id": 1}
            assert len(peer.lines_used) == 1


@both_drivers
async def test_the_timeout_is_of_the_whole_reply_not_of_a_byte(driver):
    with Peer() as peer:
        async with driver.client(peer.uri(socketTimeoutMS=1000, **ONCE)) as client:
            peer.once("find", drip(0.05))
            with takes(0.9, 6), pytest.raises(NetworkTimeout):
                await client.db.c.find_one()
            await eventually(driver, lambda: not peer.lines_used[0].open)
            assert await client.db.c.find_one() is None


@both_drivers
async def test_a_hello_byte_by_byte(driver):
    with Peer() as peer:
        peer.on("hello", drip(0.001))
        async with driver.client(peer.uri()) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
        peer.on("hello", drip(0.05))
        uri = peer.uri(connectTimeoutMS=200, serverSelectionTimeoutMS=600)
        async with driver.client(uri) as client:
            with takes(0.5, 4), pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")


@both_drivers
async def test_nobody_accepts(driver):
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # fills the backlog; what comes now waits for ever
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        uri = f"mongodb://127.0.0.1:{listener.getsockname()[1]}"
        options = {"connectTimeoutMS": 200, "serverSelectionTimeoutMS": 500}
        async with driver.client(uri, **options) as client:
            with takes(0.4, 4), pytest.raises(ServerSelectionTimeoutError, match="timed out"):
                await client.admin.command("ping")


@ferromongo_only
@both_drivers
async def test_bytes_that_nobody_asked_for(driver):
    """PyMongo's asynchronous client takes them for the next answer, however late it asks."""
    with Peer() as peer:
        async with driver.client(peer.uri(**ONCE)) as client:
            await client.admin.command("ping")
            (line,) = peer.lines_used
            line.send(peer.of("ping")[0].message({"ok": 1}))
            await driver.sleep(1.1)  # then it is looked at before it is used
            assert (await client.admin.command("ping"))["ok"] == 1
            await eventually(driver, lambda: not line.open)
            assert len(peer.lines_used) == 2


@ferromongo_only
@both_drivers
async def test_two_replies_to_one_request(driver):
    """PyMongo takes the second for the answer to its next question, and finds that it is not."""
    with Peer() as peer:
        peer.once("ping", lambda request: request.encoded() * 2)
        async with driver.client(peer.uri(**ONCE)) as client:
            for _ in range(2):
                assert (await client.admin.command("ping"))["ok"] == 1
            assert len(peer.lines_used) == 2


@both_drivers
async def test_an_answer_to_an_earlier_question(driver):
    """It came too late to be seen with the one before."""
    with Peer() as peer:
        async with driver.client(peer.uri(**ONCE)) as client:
            await client.admin.command("ping")
            old = peer.of("ping")[0].message({"ok": 1, "old": True})
            peer.once("ping", lambda request: old)
            with pytest.raises(ProtocolError):
                await client.admin.command("ping")
            await eventually(driver, lambda: not peer.lines_used[0].open)
            assert "old" not in await client.admin.command("ping")


@both_drivers
async def test_the_peer_hangs_up(driver):
    async def attempt(how):
        with Peer(replica_set) as peer:
            async with driver.client(peer.uri()) as client:
                await client.admin.command("ping")
                (line,) = peer.lines_used
                line.socket.shutdown(how)  # while idle: an operation that may be retried works
                assert await client.db.c.find_one() is None
                await eventually(driver, lambda: not line.open)
                peer.once("find", lambda request: request.connection.socket.shutdown(how))
                assert await client.db.c.find_one() is None
                assert not any(line.open for line in peer.lines_used[:-1])

    for job in [driver.start(attempt, how) for how in (socket.SHUT_WR, socket.SHUT_RDWR)]:
        await job.result()


@both_drivers
async def test_nonsense_over_one_connection_leaves_the_others_alone(driver):
    with Peer(replica_set) as peer:
        peer.on("ping", delayed(0.2))
        async with driver.client(peer.uri()) as client:

            async def ping():
                await client.admin.command("ping")

            for job in [driver.start(ping), driver.start(ping)]:
                await job.result()
            peer.once("find", lying(opcode=9))
            with pytest.raises(ProtocolError):
                await client.db.c.find_one()
            await eventually(driver, lambda: sum(line.open for line in peer.lines_used) == 1)
            assert await client.db.c.find_one() is None
            assert len(peer.lines_used) == 2
            assert peer.seen["find"] == 2  # the first was not tried again


@pytest.mark.parametrize("ending", ["hangs up", "stalls"])
@both_drivers
async def test_a_large_request_is_not_taken_in(driver, ending):
    def on_header(line, length):
        if length > 1_000_000 and ending == "stalls":
            line.wait(60)
        return length > 1_000_000

    with Peer() as peer:
        peer.on_header = on_header
        async with driver.client(peer.uri(socketTimeoutMS=400, **ONCE)) as client:
            raised = AutoReconnect if ending == "hangs up" else NetworkTimeout
            with takes(0, 5), pytest.raises(raised):
                await client.db.c.insert_one({"x": "y" * 12_000_000})
            await client.db.c.insert_one({"x": "y"})
            assert peer.seen["insert"] == 1


@both_drivers
async def test_a_replica_set_that_grows_and_shrinks(driver):
    """Most members are made up. Monitors of those that are gone are gone after a heartbeat."""
    with Peer(replica_set, addresses=2, streams=True, hosts=None) as peer:
        itself, other = peer.addresses
        peer.change(hosts=[itself])
        uri = f"mongodb://{itself}/?replicaSet=rs&heartbeatFrequencyMS=500"
        async with driver.client(uri) as client:
            await client.admin.command("ping")
            # The operation's, the monitor's and that on which the monitor measures the round trip.
            await eventually(driver, lambda: sum(line.open for line in peer.connections) == 3)
            before = len(os.listdir("/proc/self/fd"))
            for size in (5, 10, 20, 40):
                peer.change(hosts=[itself, *(f"127.0.0.1:{port}" for port in range(1, size))])
                await client.admin.command("ping")
            peer.change(hosts=[itself, other])
            await eventually(driver, lambda: len(client.nodes) == 2)
            peer.change(hosts=[itself])
            await eventually(driver, lambda: len(client.nodes) == 1)
            await eventually(driver, lambda: len(os.listdir("/proc/self/fd")) <= before)
            assert (await client.admin.command("ping"))["ok"] == 1


TLS_GREETINGS = {
    "plain bytes": b"hello, this is no TLS\r\n" * 10,
    "HTTP": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "a plain hello reply": b"\x64\0\0\0\1\0\0\0\1\0\0\0\xdd\7\0\0" + b"\0" * 84,
    "an alert": bytes.fromhex("15030300020228"),
    "a record too long": bytes.fromhex("160303ffff") + b"x" * 70_000,
    "an empty record": bytes.fromhex("1603030000") * 100,
    "a record cut off": bytes.fromhex("160303005002000046"),
    "data before the handshake": bytes.fromhex("1703030010") + b"x" * 16,
    "an unknown version": bytes.fromhex("16090900040e000000"),
    "nothing": b"",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@both_drivers
async def test_no_tls_handshake(driver, certificates):
    async def attempt(greeting):
        def on_connect(line):
            line.socket.recv(100_000)
            line.send(greeting)
            return True

        with Peer(certificates=certificates) as peer:
            peer.on_connect = on_connect
            uri = peer.uri(tls=True, tlsCAFile=certificates.ca_file, serverSelectionTimeoutMS=700)
            async with driver.client(uri) as client:
                with takes(0.5, 10), pytest.raises(ServerSelectionTimeoutError):
                    await client.admin.command("ping")
                peer.sane()
                await recovers(driver, client)

    jobs = [driver.start(attempt, greeting) for greeting in TLS_GREETINGS.values()]
    for job in jobs:
        await job.result()


@both_drivers
async def test_a_tls_handshake_that_never_goes_on(driver, certificates):
    with Peer(certificates=certificates) as peer:
        peer.on_connect = lambda line: line.wait(60)
        timeouts = {"connectTimeoutMS": 200, "serverSelectionTimeoutMS": 500}
        uri = peer.uri(tls=True, tlsCAFile=certificates.ca_file, **timeouts)
        async with driver.client(uri) as client:
            with takes(0.4, 4), pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")


@both_drivers
async def test_a_plain_client_at_a_tls_peer(driver, certificates):
    with Peer(certificates=certificates) as peer:
        uri = peer.uri(serverSelectionTimeoutMS=300)
        async with driver.client(uri) as client:
            with takes(0.2, 4), pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")


TLS_RECORDS = {
    "junk": b"junk, junk, junk",
    "a plain alert": bytes.fromhex("15030300020214"),
    "a plain request to shake hands again": bytes.fromhex("160303000400000000"),
    "a record too long": bytes.fromhex("170303ffff") + b"x" * 70_000,
    "a record that does not decrypt": bytes.fromhex("1703030040") + b"x" * 64,
    "a record cut off": bytes.fromhex("1703034000") + b"x" * 100,
    "nothing": b"",
}


@both_drivers
async def test_tls_records_without_sense(driver, certificates):
    async def attempt(record):
        def answer(request):
            # Under the session, which knows nothing of it.
            os.write(request.connection.socket.fileno(), record)
            request.connection.hang_up()

        with Peer(certificates=certificates) as peer:
            peer.once("find", answer)
            uri = peer.uri(tls=True, tlsCAFile=certificates.ca_file, **ONCE)
            async with driver.client(uri) as client:
                with takes(0, 10), pytest.raises(AutoReconnect):
                    await client.db.c.find_one()
                assert await client.db.c.find_one() is None
                assert len(peer.lines_used) == 2
                await eventually(driver, lambda: not peer.lines_used[0].open)

    jobs = [driver.start(attempt, record) for record in TLS_RECORDS.values()]
    for job in jobs:
        await job.result()


async def recovers(driver, client):
    for _ in range(20):
        with contextlib.suppress(ServerSelectionTimeoutError, AutoReconnect):
            assert (await client.admin.command("ping"))["ok"] == 1
            return
    pytest.fail("the client did not find the peer again")
