"""Only the user can name a Unix domain socket, and TLS is used there too if enabled."""

import os
import socket
import threading
from urllib.parse import quote

import pytest
from pymongo import common
from pymongo.errors import ConfigurationError, PyMongoError, ServerSelectionTimeoutError
from tests.drivers import DRIVER_NAME, both_drivers, eventually, ferromongo_only, package
from tests.fault.peer import Peer
from tests.fault.peer_answers import mongos, replica_set
from tests.name_server import NameServer, looked_up

from ferromongo.embedded.certificates import make_certificates

if DRIVER_NAME == "pymongo":  # which leaves sockets to the garbage collector
    pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CREDENTIALS = {"username": "user", "password": "a secret", "authMechanism": "PLAIN"}
NAME = "cluster.sample.test"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def names():
    with NameServer() as names:
        yield names


class Trap:
    """A Unix domain socket that notes what it is sent."""

    def __init__(self, path):
        self.heard = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self):
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with accepted:
                accepted.settimeout(0.5)
                try:
                    self.heard.append(accepted.recv(65536))
                except OSError:
                    self.heard.append(b"")


async def ping(driver, uri, **options):
    client = await looked_up(driver, uri, **CREDENTIALS, **options)
    async with client:
        await client.admin.command("ping")


@pytest.mark.parametrize("host", ["a.sample.test", "localhost"])
@both_drivers
async def test_an_srv_record_with_port_0_is_refused(driver, host, here, names):
    """PyMongo tries to connect to port 0."""
    with Trap(here / host) as trap:
        names.srv(NAME, (host, 0))
        options = {"srvAllowedHostsSuffix": "sample.test"} if host != "localhost" else {}
        options |= {"srv_host_validator": lambda host: True} if host == "localhost" else {}
        uri = f"mongodb+srv://{NAME}/?serverSelectionTimeoutMS=300"
        raised = ConfigurationError if DRIVER_NAME == "ferromongo" else PyMongoError
        with pytest.raises(raised):
            await ping(driver, uri, **options)
        assert trap.heard == []


@ferromongo_only
@pytest.mark.parametrize("tls", [True, False])
@both_drivers
async def test_an_srv_record_never_names_a_socket(driver, tls, here, names):
    """PyMongo takes it for one."""
    with Trap(here / "a.cluster.sock") as trap:
        names.srv("mine.cluster.sock", ("a.cluster.sock", 27017))
        uri = (
            f"mongodb+srv://mine.cluster.sock/?serverSelectionTimeoutMS=300&tls={str(tls).lower()}"
        )
        with pytest.raises(ConfigurationError, match=r"a\.cluster\.sock"):
            await ping(driver, uri)
        assert trap.heard == []


@ferromongo_only
@both_drivers
async def test_polled_srv_records_without_a_valid_address_are_ignored(
    driver, here, names, monkeypatch
):
    monkeypatch.setattr(common, "MIN_SRV_RESCAN_INTERVAL", 0.2)
    with Trap(here / "b.sample.test") as trap, Peer(mongos) as peer:
        port = int(peer.addresses[0].rpartition(":")[2])
        valid = {"srv_host_validator": lambda host: True}
        names.srv(NAME, ("localhost", port))
        uri = f"mongodb+srv://{NAME}/?tls=false"
        client = await looked_up(driver, uri, **valid)
        async with client:
            await client.admin.command("ping")
            names.srv(NAME, ("localhost", port), ("b.sample.test", 0), ("c.sample.sock", 1))
            asked = len(names.asked_for("SRV"))
            await eventually(driver, lambda: len(names.asked_for("SRV")) > asked + 1)
            servers = set(client.topology_description.server_descriptions())
            assert servers == {("localhost", port)}
        assert trap.heard == []


@ferromongo_only
@pytest.mark.parametrize("field", ["hosts", "passives", "arbiters", "primary", "me"])
@both_drivers
async def test_a_hello_never_names_a_socket(driver, field, here, certificates):
    """PyMongo connects to it, with a TLS handshake if TLS is enabled."""
    with Trap(here / "x.sock") as trap, Peer(replica_set, certificates=certificates) as peer:
        [itself] = peer.addresses
        named = "x.sock" if field in ("primary", "me") else [itself, "x.sock"]
        peer.change(**{field: named})
        options = {"tlsCAFile": str(certificates.ca_file), "readPreference": "nearest"}
        uri = peer.uri(serverSelectionTimeoutMS=1000, heartbeatFrequencyMS=500)
        async with driver.client(uri, **options, **CREDENTIALS) as client:
            with pytest.raises(ServerSelectionTimeoutError, match=r"x\.sock"):
                await client.admin.command("ping")
        said = b"".join(trap.heard)
        assert b"saslStart" not in said
        assert b"ping" not in said
        assert b"saslStart" not in b"".join(repr(r.document).encode() for r in peer.requests)


@ferromongo_only
@pytest.mark.xfail(
    strict=True, reason="the mongodb crate's monitors; ours come with a later change"
)
@both_drivers
async def test_no_connection_is_made_to_a_socket_named_by_a_hello(driver, here):
    with Trap(here / "x.sock") as trap, Peer(replica_set) as peer:
        peer.change(hosts=[*peer.addresses, "x.sock"])
        async with driver.client(peer.uri(serverSelectionTimeoutMS=1000)) as client:
            with pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")
        assert trap.heard == []


@pytest.mark.parametrize("names", [True, False], ids=["verified", "unverified"])
@both_drivers
async def test_nothing_is_sent_unencrypted_to_a_unix_socket_with_tls(driver, names, tmp_path):
    with Trap(tmp_path / "a.sock") as trap:
        uri = f"mongodb://{quote(str(tmp_path / 'a.sock'), safe='')}/?directConnection=true"
        options = {"tls": True, "serverSelectionTimeoutMS": 700}
        if not names:
            options["tlsAllowInvalidHostnames"] = True
        async with driver.client(uri, **options, **CREDENTIALS) as client:
            with pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")
        assert all(said[:1] in (b"", b"\x16") for said in trap.heard), trap.heard
        if DRIVER_NAME == "ferromongo":  # no certificate can be for a path: why ask for it
            assert any(trap.heard) != names


@pytest.mark.parametrize("allowed", ["tlsAllowInvalidHostnames", "tlsAllowInvalidCertificates"])
@both_drivers
async def test_tls_works_over_a_unix_socket(driver, allowed, tmp_path, certificates):
    with Peer(path=tmp_path / "a.sock", certificates=certificates) as peer:
        peer.cursors.documents = [{"_id": 1}]
        options = {"tls": True, "tlsCAFile": str(certificates.ca_file), allowed: True}
        async with driver.client(peer.uri(directConnection=True), **options) as client:
            assert await client.db.c.find_one() == {"_id": 1}
            assert client.nodes == {(str(tmp_path / "a.sock"), None)}


@pytest.mark.parametrize("port", [0, -1, 65536, 123456789, 2**31])
@both_drivers
async def test_a_client_with_a_port_that_is_none_finds_no_server(driver, port):
    """Programs use such a port to get a client that is never connected."""
    for host in ("127.0.0.1", "some.invalid"):
        client = driver.client(host, port, serverSelectionTimeoutMS=300)
        async with client:
            with pytest.raises(ServerSelectionTimeoutError, match=str(port)):
                await client.admin.command("ping")
            (known,) = client.topology_description.server_descriptions()
            assert known == (host, port)


def test_a_host_named_like_a_file_in_the_working_directory_is_not_a_socket(here):
    """A name that does not end in .sock is a host, even if there is such a file."""
    with Trap(here / "localhost") as trap:
        client = package.MongoClient("localhost", 1, serverSelectionTimeoutMS=300)
        with client, pytest.raises(ServerSelectionTimeoutError):
            client.admin.command("ping")
        assert os.path.exists("localhost")
        assert trap.heard == []
