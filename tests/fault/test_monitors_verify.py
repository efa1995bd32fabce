"""Neither operations nor monitors send a message to a server that the TLS options refuse.

Where a monitor verifies less than operations do, a refused peer still gets a hello, answers it, and
may name other hosts.
"""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from pymongo import monitoring
from pymongo.errors import ServerSelectionTimeoutError
from tests.drivers import DRIVER_NAME, both_drivers, eventually
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set
from tests.server.tls_files import revocation_list

from ferromongo.embedded.certificates import make_certificates

if DRIVER_NAME == "pymongo":  # which leaves sockets to the garbage collector
    pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def trusted(folder):
    (folder / "trusted").mkdir()
    return make_certificates(folder / "trusted")


@pytest.fixture(scope="module")
def foreign(folder):
    (folder / "foreign").mkdir()
    return make_certificates(folder / "foreign")


@pytest.fixture(scope="module")
def lists(folder, trusted):
    found = {}
    for name, of_server, days in (("revoked", True, 1), ("clean", False, 1), ("old", False, -1)):
        (folder / name).mkdir()
        found[name] = revocation_list(folder / name, trusted, of_server=of_server, valid_days=days)
    return found


REFUSED = {
    "a foreign authority, any host name": ("foreign", {"tlsAllowInvalidHostnames": True}),
    "a foreign authority and a list": ("foreign", {"tlsCRLFile": "clean"}),
    "a revoked certificate": ("trusted", {"tlsCRLFile": "revoked"}),
    "a revoked certificate, any host name": (
        "trusted", {"tlsCRLFile": "revoked", "tlsAllowInvalidHostnames": True},
    ),
    "an old list": ("trusted", {"tlsCRLFile": "old"}),
    "an expired certificate, any host name": ("expired", {"tlsAllowInvalidHostnames": True}),
}  # fmt: skip
TAKEN = {
    "any host name": {"tlsAllowInvalidHostnames": True},
    "a list without it": {"tlsCRLFile": "clean"},
}


def with_files(options, lists):
    return {name: str(lists[value]) if value in lists else value for name, value in options.items()}


@pytest.mark.parametrize("case", REFUSED)
@both_drivers
async def test_a_server_with_a_refused_certificate_receives_no_message(
    driver, case, folder, trusted, foreign, lists
):
    certificates, options = REFUSED[case]
    shown = {"trusted": trusted, "foreign": foreign}.get(certificates)
    if shown is None:
        shown = expired(folder, trusted)
    with Peer(replica_set, certificates=shown) as peer:
        peer.change(hosts=[*peer.addresses, "127.0.0.1:1"])
        uri = peer.uri(serverSelectionTimeoutMS=1500, heartbeatFrequencyMS=500)
        files = {"tlsCAFile": str(trusted.ca_file), **with_files(options, lists)}
        async with driver.client(uri, tls=True, **files) as client:
            with pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")
            assert not client.nodes
        assert peer.requests == []


@pytest.mark.parametrize("case", TAKEN)
@both_drivers
async def test_a_server_with_an_accepted_certificate_is_monitored(driver, case, trusted, lists):
    """Heartbeats, round trips, changes of the primary, and members that come."""
    heard = Heard()
    with Peer(replica_set, addresses=2, certificates=trusted, hosts=None) as peer:
        first, second = peer.addresses
        peer.change(hosts=[first])
        options = {"tlsCAFile": str(trusted.ca_file), **with_files(TAKEN[case], lists)}
        uri = f"mongodb://{first}/?replicaSet=rs&heartbeatFrequencyMS=500"
        async with driver.client(uri, event_listeners=[heard], **options) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
            await eventually(driver, lambda: heard.ended >= 3)
            assert heard.begun >= heard.ended
            server = first.rpartition(":")
            address = (server[0], int(server[2]))
            described = client.topology_description.server_descriptions()[address]
            assert 0 < described.round_trip_time < 5
            peer.change(hosts=[first, second])
            await eventually(driver, lambda: len(client.nodes) == 2)
            servers = client.topology_description.server_descriptions().values()
            names = {server.server_type_name for server in servers}
            assert names == {"RSPrimary", "RSSecondary"}
            peer.on("hello", {"ok": 0, "errmsg": "going down", "code": 91})
            await eventually(driver, lambda: not client.nodes)
            peer.sane()
            assert (await client.admin.command("ping"))["ok"] == 1
            assert heard.failures > 0


class Heard(monitoring.ServerHeartbeatListener):
    def __init__(self):
        self.begun = self.ended = self.failures = 0

    def started(self, event):
        self.begun += 1

    def succeeded(self, event):
        assert event.duration > 0
        assert event.reply.max_wire_version == 21
        self.ended += 1

    def failed(self, event):
        self.failures += 1


def expired(folder, certificates):
    """The server's certificate as it would have been a year ago."""
    authority = x509.load_pem_x509_certificate(certificates.ca_file.read_bytes())
    key = serialization.load_pem_private_key(certificates.ca_key_file.read_bytes(), None)
    text = certificates.server_file.read_bytes()
    server = x509.load_pem_x509_certificate(text[text.index(b"-----BEGIN CERTIFICATE") :])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(server.subject)
        .issuer_name(authority.subject)
        .public_key(server.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now - datetime.timedelta(days=30))
    )
    for extension in server.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(key, hashes.SHA256())
    path = folder / "expired.pem"
    path.write_bytes(
        text[: text.index(b"-----BEGIN CERTIFICATE")]
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return type(certificates)(
        certificates.ca_file, certificates.ca_key_file, path, certificates.client_file
    )
