"""TLS with real servers: whom the client trusts, who it is, and that nothing else changes."""

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import threading
import time

import pytest
import uvloop
from pymongo import ReadPreference
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    NetworkTimeout,
    ServerSelectionTimeoutError,
)
from tests.drivers import (
    AsyncDriver,
    both_drivers,
    eventually,
    ferromongo_only,
    package,
    patient,
    takes,
    wait_until,
)
from tests.fault.programs import run, start
from tests.fault.proxy import Proxy
from tests.fault.relay import Relay
from tests.server import tls_files

from ferromongo.embedded import ReplicaSet

SOON = {"serverSelectionTimeoutMS": 1000, "connectTimeoutMS": 700}
# Who is refused waits that long each time.
SOONER = {"serverSelectionTimeoutMS": 600, "connectTimeoutMS": 300}


@pytest.fixture(scope="module")
def servers():
    with ReplicaSet(members=3, tls=True) as replica_set:
        yield replica_set


@pytest.fixture(scope="module")
def mutual():
    """A server that asks its clients for certificates."""
    with ReplicaSet(tls="mutual") as replica_set:
        yield replica_set


@pytest.fixture
def collection_name(request):
    return request.node.name


async def ping(driver, hosts, limits=SOON, **options):
    async with driver.client(hosts, **limits, directConnection=True, **options) as client:
        return (await client.admin.command("ping"))["ok"]


async def refused(driver, hosts, match, **options):
    with takes(0.4, 6), pytest.raises(ServerSelectionTimeoutError, match=match) as caught:
        await ping(driver, hosts, SOONER, **options)
    return caught.value


# Whom the client trusts.


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@both_drivers
async def test_a_trusted_server(driver, servers, host):
    at = f"{host}:{servers.primary.port}"
    assert await ping(driver, at, tls=True, tlsCAFile=str(servers.ca_file)) == 1
    # An option of TLS alone turns it on.
    assert await ping(driver, at, tlsCAFile=str(servers.ca_file)) == 1


@both_drivers
async def test_a_whole_replica_set(driver, servers):
    async with driver.client(servers.uri) as client:
        await client.admin.command("ping")
        command = {"hello": 1}
        answer = await client.admin.command(command, read_preference=ReadPreference.SECONDARY)
        assert answer["secondary"]


@both_drivers
async def test_a_server_of_an_unknown_authority(driver, servers, tmp_path):
    at = servers.primary.address
    await refused(driver, at, "certificate verify failed", tls=True)
    another = str(tls_files.another_authority(tmp_path))
    await refused(driver, at, "certificate verify failed", tlsCAFile=another)
    # The name may be any, the authority not.
    options = {"tlsCAFile": another, "tlsAllowInvalidHostnames": True}
    await refused(driver, at, "certificate verify failed", **options)
    assert await ping(driver, at, tls=True, tlsAllowInvalidCertificates=True) == 1
    assert await ping(driver, at, tls=True, tlsInsecure=True) == 1


def test_the_systems_authorities(servers, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(servers.ca_file))
    with package.MongoClient(servers.primary.address, tls=True, **SOON) as client:
        assert client.admin.command("ping")["ok"] == 1


@both_drivers
async def test_a_server_of_another_name(driver, servers):
    ca = str(servers.ca_file)
    with Relay(servers.primary.address, host="127.0.0.2") as relay:
        await refused(driver, relay.address, r"not valid for '127\.0\.0\.2'", tlsCAFile=ca)
        options = {"tlsCAFile": ca, "tlsAllowInvalidHostnames": True}
        assert await ping(driver, relay.address, **options) == 1


@both_drivers
async def test_a_revoked_server(driver, servers, tmp_path):
    at, ca = servers.primary.address, str(servers.ca_file)
    files = servers.certificates
    listed = str(tls_files.revocation_list(tmp_path, files, of_server=True))
    # Where the monitors connect, ferromongo's operations get as far as the error itself.
    with takes(0, 6), pytest.raises(AutoReconnect, match="certificate revoked"):
        await ping(driver, at, tlsCAFile=ca, tlsCRLFile=listed)
    unlisted = str(tls_files.revocation_list(tmp_path, files, of_server=False))
    assert await ping(driver, at, tlsCAFile=ca, tlsCRLFile=unlisted) == 1
    old = str(tls_files.revocation_list(tmp_path, files, of_server=False, valid_days=-1))
    with takes(0, 6), pytest.raises(AutoReconnect, match="CRL has expired"):
        await ping(driver, at, tlsCAFile=ca, tlsCRLFile=old)


# Who the client says it is.


@both_drivers
async def test_a_client_certificate(driver, mutual):
    at, ca = mutual.primary.address, str(mutual.ca_file)
    await refused(driver, at, "closed|reset|certificate", tlsCAFile=ca)
    certificate = str(mutual.client_certificate_file)
    assert await ping(driver, at, tlsCAFile=ca, tlsCertificateKeyFile=certificate) == 1
    # A key that is not encrypted needs no password, and minds none.
    options = {"tlsCertificateKeyFile": certificate, "tlsCertificateKeyFilePassword": "any"}
    assert await ping(driver, at, tlsCAFile=ca, **options) == 1
    async with driver.client(mutual.uri, **SOON) as client:
        await client.admin.command("ping")


@both_drivers
async def test_an_encrypted_key(driver, mutual, tmp_path):
    file = str(tls_files.encrypted(tmp_path, mutual.certificates, "secret"))
    options = {"tlsCAFile": str(mutual.ca_file), "tlsCertificateKeyFile": file}
    at = mutual.primary.address
    assert await ping(driver, at, tlsCertificateKeyFilePassword="secret", **options) == 1
    with pytest.raises(ConfigurationError):
        await ping(driver, at, tlsCertificateKeyFilePassword="wrong", **options)


@ferromongo_only
def test_a_key_encrypted_in_the_old_way(mutual, tmp_path):
    traditional = tls_files.serialization.PrivateFormat.TraditionalOpenSSL
    file = str(tls_files.encrypted(tmp_path, mutual.certificates, "secret", traditional))
    with pytest.raises(ConfigurationError, match="openssl pkcs8"):
        package.MongoClient(tlsCertificateKeyFile=file, tlsCertificateKeyFilePassword="secret")


@ferromongo_only
def test_a_password_is_not_shown(mutual, tmp_path):
    file = str(tls_files.encrypted(tmp_path, mutual.certificates, "a secret"))
    client = package.MongoClient(
        tlsCertificateKeyFile=file, tlsCertificateKeyFilePassword="a secret", connect=False
    )
    assert "tlscertificatekeyfile" in repr(client).lower()
    assert "a secret" not in repr(client)


@pytest.mark.parametrize(
    "option", ["tlsCAFile", "tlsCertificateKeyFile", "tlsCRLFile"], ids=lambda option: option
)
def test_files_that_are_no_good(option, tmp_path):
    with pytest.raises(FileNotFoundError):
        package.MongoClient(**{option: str(tmp_path / "missing.pem")})
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing to see here\n")
    with pytest.raises((ConfigurationError, ssl.SSLError)):
        package.MongoClient(**{option: str(broken)})


@ferromongo_only
def test_a_revocation_list_that_is_none(servers):
    with pytest.raises(ConfigurationError, match="no revocation list"):
        package.MongoClient(tlsCRLFile=str(servers.ca_file))


# One end with TLS, the other without.


@both_drivers
async def test_only_the_server_speaks_tls(driver, servers):
    await refused(driver, servers.primary.address, "closed|reset")


@both_drivers
async def test_only_the_client_speaks_tls(driver, mongodb_replica_set, servers):
    at = mongodb_replica_set.primary.address
    await refused(driver, at, "SSL handshake failed", tlsCAFile=str(servers.ca_file))


class Peer:
    """Accepts connections and answers what it was told, whatever it hears."""

    def __init__(self, answer, then_close):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer, self._then_close = answer, then_close
        self._open = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in (self._listener, *self._open):
            one.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            client.settimeout(5)
            with contextlib.suppress(OSError):
                client.recv(4096)
                client.sendall(self._answer)
            if self._then_close:
                client.close()


@pytest.mark.parametrize(
    ("answer", "then_close"),
    [
        (b"", True),
        (b"", False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"\x16\x03\x03", False),
        (b"\x16\x03\x03\x00\x04\x02\xff\xff\xff", False),
        (b"\x16\x03\x03\xff\xff" + b"\0" * 70000, False),
        (b"\x15\x03\x03\x00\x02\x02\x28", True),
        (bytes(range(256)) * 10, True),
    ],
    ids=["closes", "silent", "http", "stops", "endless", "oversized", "alert", "noise"],
)
@both_drivers
async def test_a_peer_that_answers_nonsense(driver, answer, then_close):
    with Peer(answer, then_close) as peer:
        await refused(driver, peer.address, "SSL|timed out|closed", tls=True)


# Everything else is as without TLS.


@both_drivers
async def test_large_documents(driver, servers, collection_name):
    async with driver.client(servers.uri) as client:
        collection = client.tls[collection_name]
        large = [{"_id": n, "data": bytes(range(256)) * 32_000} for n in range(2)]
        for document in large:
            await collection.insert_one(document)
        assert await collection.find().sort("_id").to_list() == large  # 16.4 MB in one reply
        await collection.drop()


@both_drivers
async def test_many_documents(driver, servers, collection_name):
    async with driver.client(servers.uri) as client:
        collection = client.tls[collection_name]
        await collection.drop()
        documents = [{"_id": n, "text": "x" * (n % 3000)} for n in range(10_000)]
        await collection.insert_many(documents)
        assert await collection.find().sort("_id").to_list() == documents
        iterated = [document["_id"] async for document in collection.find().batch_size(700)]
        assert sorted(iterated) == list(range(10_000))


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_fifty_tasks(loop_factory, servers, collection_name):
    async def work(collection, n):
        for _ in range(10):
            await collection.update_one({"_id": n}, {"$inc": {"n": 1}}, upsert=True)
            assert (await collection.find_one({"_id": n}))["_id"] == n

    async def main():
        async with package.AsyncMongoClient(servers.uri) as client:
            collection = client.tls[collection_name]
            await collection.drop()
            await asyncio.gather(*[work(collection, n) for n in range(50)])
            assert await collection.count_documents({"n": 10}) == 50

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_eight_threads(servers, collection_name):
    failures = []

    def work(collection, number):
        try:
            for n in range(30):
                collection.insert_one({"_id": f"{number}-{n}", "data": b"x" * 2000 * n})
                found = collection.find_one({"_id": f"{number}-{n}"})
                assert len(found["data"]) == 2000 * n
        except BaseException as error:
            failures.append(error)

    with package.MongoClient(servers.uri) as client:
        collection = client.tls[collection_name]
        threads = [threading.Thread(target=work, args=(collection, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert collection.count_documents({}) == 240


@pytest.mark.parametrize("piece", [1, 7])
@both_drivers
async def test_slow_drip(driver, piece, servers, collection_name):
    with Relay(servers.primary.address, piece=piece) as relay:
        options = {"directConnection": True, "tlsCAFile": str(servers.ca_file)}
        async with driver.client(relay.address, **options) as client:
            collection = client.tls[collection_name]
            await collection.replace_one({"_id": 1}, {"x": "y" * 20_000}, upsert=True)
            assert await collection.find_one() == {"_id": 1, "x": "y" * 20_000}


@pytest.mark.parametrize("after", [0, 10, 40, 30_000])
@both_drivers
async def test_a_cut_reply_is_asked_for_again(driver, after, servers, collection_name):
    with Proxy(servers.primary.address, servers.certificates) as proxy:
        async with driver.client(proxy.uri(tlsCAFile=servers.ca_file)) as client:
            collection = client.tls[collection_name]
            await collection.replace_one({"_id": 1}, {"x": "y" * 50_000}, upsert=True)
            proxy.cut("find", after=after)
            with takes(0, 5):
                assert (await collection.find_one())["_id"] == 1
        assert proxy.seen["find"] == 2


@both_drivers
async def test_a_line_that_is_cut_between_operations(driver, servers):
    with Relay(servers.primary.address) as relay:
        options = {"directConnection": True, "tlsCAFile": str(servers.ca_file)}
        async with driver.client(relay.address, **options) as client:
            for _ in range(3):
                await client.tls.c.find_one()
                relay.cut()


@both_drivers
async def test_a_reply_that_never_comes(driver, servers):
    with Proxy(servers.primary.address, servers.certificates) as proxy:
        uri = proxy.uri(socketTimeoutMS=1000, retryReads="false", tlsCAFile=servers.ca_file)
        async with driver.client(uri) as client:
            proxy.stall("find")
            with takes(0.9, 8), pytest.raises(NetworkTimeout):
                await client.tls.c.find_one()
            (stalled,) = proxy.links_of("find")
            await eventually(driver, lambda: not stalled.open)
            await client.tls.c.find_one()


@both_drivers
async def test_idle_connections_are_kept(driver, servers):
    # A server sends tickets for later sessions when nobody has asked it anything.
    with Proxy(servers.primary.address, servers.certificates) as proxy:
        async with driver.client(proxy.uri(tlsCAFile=servers.ca_file, minPoolSize=3)) as client:
            await client.tls.c.find_one()
            await eventually(driver, lambda: len(proxy.open_links) >= 4)
            await driver.sleep(2.2)  # idle for more than a second, connections are looked at
            before = len(proxy.links)
            await client.tls.c.find_one()
            assert len(proxy.links) == before


def test_cancellation_in_mid_flight(servers, collection_name):
    async def main():
        async with package.AsyncMongoClient(servers.uri, maxPoolSize=2) as client:
            collection = client.tls[collection_name]
            await collection.insert_one({"data": b"x" * 5_000_000})
            for n in range(20):
                task = asyncio.create_task(collection.find_one())
                await asyncio.sleep(0.002 * (n % 10))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert (await client.admin.command({"ping": 1, "comment": n}))["ok"] == 1
            assert len((await collection.find_one())["data"]) == 5_000_000

    AsyncDriver().run(main())


@both_drivers
async def test_the_primary_steps_down(driver, servers, collection_name):
    async with driver.client(servers.uri) as client:
        collection = client.tls[collection_name]
        await collection.insert_one({"_id": "before"})
        await driver.blocking(servers.step_down)
        with takes(0, 20):
            await collection.insert_one({"_id": "after"})
        assert await collection.count_documents({}) == 2
        await collection.drop()


@pytest.mark.parametrize("way", ["os_fork", "under_load"])
def test_fork(way, servers):
    processes = run("forked", way, servers.uri, f"fork_{way}")
    assert all(found.startswith("30 by ") for found in processes)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_ctrl_c(kind, servers):
    with start("interrupted", kind, "query", servers.uri, f"ctrl_c_{kind}") as program:
        try:
            assert program.stdout.readline() == "ready\n"
            time.sleep(0.5)
            pressed = time.monotonic()
            program.send_signal(signal.SIGINT)
            output, _ = program.communicate(timeout=60)
        finally:
            program.kill()
    report = json.loads(output.splitlines()[-1])
    assert report["noticed"] - pressed < patient(1.5)
    assert report["answer"] == 1


@ferromongo_only
def test_sessions_are_resumed(servers):
    """The second connection of a client costs no second exchange of certificates."""
    with (
        Proxy(servers.primary.address, servers.certificates) as proxy,
        package.MongoClient(proxy.uri(tlsCAFile=servers.ca_file, minPoolSize=2)) as client,
    ):
        client.admin.command("ping")
        wait_until(lambda: proxy.sessions_resumed)
