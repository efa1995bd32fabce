"""Where a client connects, and the declared API version, with real servers."""

import errno
import os
import socket
import threading
from urllib.parse import quote

import pytest
from pymongo import ReadPreference, monitoring
from pymongo.errors import (
    ConfigurationError,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.server_api import ServerApi
from tests.drivers import APP, both_drivers, eventually, ferromongo_only, package, takes
from tests.fault.programs.forked import in_child

from ferromongo.embedded import ReplicaSet
from ferromongo.embedded.replica_set import DIRECTORY


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = has_ipv6()
needs_ipv6 = pytest.mark.skipif(not IPV6, reason="this machine has no IPv6 loopback")


class Reachable(ReplicaSet):
    """Members that listen on Unix domain sockets and, where there is IPv6, on ::1 too."""

    def _command(self):
        command = super()._command()
        at = command.index("--nounixsocket")
        command[at : at + 1] = ["--unixSocketPrefix", DIRECTORY]
        if IPV6:
            command[command.index("127.0.0.1")] = "127.0.0.1,::1"
            command.append("--ipv6")
        return command

    def socket_of(self, member):
        return str(self.directory / f"mongodb-{member.port}.sock")


@pytest.fixture(scope="module")
def reachable():
    with Reachable(members=2) as replica_set:
        with package.MongoClient(replica_set.uri) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            for number, member in enumerate(config["members"]):
                member["tags"] = {"dc": ["ny", "la"][number]}
            client.admin.command("replSetReconfig", config)
        yield replica_set


def uri(*hosts, **options):
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"mongodb://{','.join(hosts)}/?{query}"


async def who(client, preference=ReadPreference.PRIMARY):
    """The port of the server that answers."""
    status = await client.admin.command("serverStatus", read_preference=preference)
    return int(status["host"].rpartition(":")[2])


# --- Unix domain sockets


@both_drivers
@pytest.mark.parametrize("form", ["URI", "path", "list"])
async def test_unix_domain_socket(driver, reachable, form):
    path = reachable.socket_of(reachable.primary)
    quoted = quote(path, safe="")
    host = {"URI": uri(quoted, directConnection="true"), "path": quoted, "list": [quoted]}[form]
    options = {} if form == "URI" else {"directConnection": True}
    async with driver.client(host, **options) as client:
        assert await who(client) == reachable.primary.port
        assert client.nodes == {(path, None)}
        collection = client.unix_sockets.c
        await collection.insert_many([{"x": n} for n in range(200)])
        assert len(await collection.find({}, batch_size=50).to_list()) == 200
        await collection.drop()


@both_drivers
async def test_members_known_by_a_socket_are_found_under_their_own_names(driver, reachable):
    path = quote(reachable.socket_of(reachable.primary), safe="")
    async with driver.client(uri(path, replicaSet=reachable.name)) as client:
        assert await who(client) == reachable.primary.port
        expected = {("127.0.0.1", member.port) for member in reachable.members}
        await eventually(driver, lambda: client.nodes == expected)


@both_drivers
async def test_a_socket_that_is_not_there(driver, tmp_path):
    path = str(tmp_path / "Missing.sock")
    options = {"serverSelectionTimeoutMS": 300}
    async with driver.client(uri(quote(path, safe="")), **options) as client:
        with takes(0.3, 5), pytest.raises(ServerSelectionTimeoutError) as caught:
            await client.admin.command("ping")
    assert path in str(caught.value)
    assert os.strerror(errno.ENOENT) in str(caught.value)


@both_drivers
async def test_clients_of_a_socket_that_is_not_there_can_always_be_closed(driver, tmp_path):
    missing = uri(quote(str(tmp_path / "Missing.sock"), safe=""))
    for _ in range(30):
        async with driver.client(missing, serverSelectionTimeoutMS=1) as client:
            with pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")


@ferromongo_only
def test_a_forked_child_uses_a_socket_of_its_own(reachable):
    """PyMongo warns of forks."""
    path = quote(reachable.socket_of(reachable.primary), safe="")
    with package.MongoClient(uri(path, directConnection="true")) as client:
        client.admin.command("ping")

        def child():
            answer = client.admin.command("ping")["ok"]
            client.close()
            return answer

        assert in_child(child)() == 1
        assert client.admin.command("ping")["ok"] == 1


def test_closing_ends_the_connections_over_a_socket(reachable):
    path = reachable.socket_of(reachable.primary)
    before = set(os.listdir("/proc/self/fd"))
    client = package.MongoClient(uri(quote(path, safe=""), directConnection="true"))
    client.admin.command("ping")
    client.close()
    left = set(os.listdir("/proc/self/fd")) - before
    unix = [fd for fd in left if _peer(fd) == path]
    assert not unix


def _peer(fd):
    try:
        with socket.socket(fileno=os.dup(int(fd))) as copy:
            return copy.getpeername()
    except OSError:
        return None


# --- IPv6


@needs_ipv6
@both_drivers
@pytest.mark.parametrize("form", ["URI", "host", "list"])
async def test_ipv6_literal(driver, reachable, form):
    address = f"[::1]:{reachable.primary.port}"
    host = {"URI": uri(address), "host": "[::1]", "list": [address]}[form]
    port = reachable.primary.port if form == "host" else None
    async with driver.client(host, port, directConnection=True) as client:
        assert await who(client) == reachable.primary.port
        assert client.nodes == {("::1", reachable.primary.port)}


# --- seeds


@both_drivers
async def test_some_seeds_are_dead_or_strangers(driver, reachable, mongodb_replica_set):
    member = reachable.members[1].address
    stranger = mongodb_replica_set.members[0].address
    seeds = ("127.0.0.1:1", "nowhere.invalid", stranger, member.upper())
    async with driver.client(uri(*seeds, replicaSet=reachable.name)) as client:
        with takes(0, 10):
            assert await who(client) == reachable.primary.port
        expected = {("127.0.0.1", member.port) for member in reachable.members}
        await eventually(driver, lambda: client.nodes == expected)


@both_drivers
async def test_host_names_compare_without_case(driver, reachable):
    host = f"LOCALHOST:{reachable.primary.port}"
    async with driver.client(host, directConnection=True) as client:
        await client.admin.command("ping")
        assert client.nodes == {("localhost", reachable.primary.port)}


@both_drivers
@pytest.mark.parametrize("direct", [True, False])
async def test_another_replica_set_than_wanted(driver, reachable, direct):
    options = {"directConnection": direct, "serverSelectionTimeoutMS": 400}
    async with driver.client(reachable.primary.address, replicaSet="other", **options) as client:
        with takes(0.4, 5), pytest.raises(ServerSelectionTimeoutError) as caught:
            await client.admin.command("ping")
    assert "other" in str(caught.value)


@both_drivers
async def test_direct_connection_to_a_secondary(driver, reachable):
    [secondary] = reachable.secondaries
    async with driver.client(uri(secondary.address, directConnection="true")) as client:
        assert await who(client) == secondary.port
        assert client.nodes == {("127.0.0.1", secondary.port)}
        assert await client.local["startup_log"].find_one() is not None
        with pytest.raises(NotPrimaryError):
            await client.direct.c.insert_one({})


@both_drivers
async def test_a_single_seed_without_direct_connection_finds_all(driver, reachable):
    [secondary] = reachable.secondaries
    async with driver.client(uri(secondary.address, replicaSet=reachable.name)) as client:
        assert await who(client) == reachable.primary.port


def test_direct_connection_takes_one_host():
    with pytest.raises(ConfigurationError, match="multiple hosts with directConnection"):
        package.MongoClient(uri("a", "b", directConnection="true"))


def test_connect_says_whether_to_begin_at_once(reachable):
    def watched():
        return package.MongoClient(reachable.uri, connect=connect)

    connect = True
    with watched() as client:
        done = threading.Event()
        for _ in range(500):
            if client.nodes or done.wait(0.01):
                break
        assert client.nodes
    connect = False
    with watched() as client:
        assert not done.wait(0.2)
        assert not client.nodes


# --- read preference


@both_drivers
async def test_read_preference_and_tags_of_the_uri_choose_the_server(driver, reachable):
    ports = {member.port: number for number, member in enumerate(reachable.members)}
    for tags, number in (("dc:la", 1), ("dc:ny", 0), ("dc:sf&readPreferenceTags=dc:la", 1)):
        options = {"readPreference": "nearest", "readPreferenceTags": tags}
        async with driver.client(f"{reachable.uri}&{uri(**options).partition('?')[2]}") as client:
            assert ports[await who(client, client.read_preference)] == number


@both_drivers
async def test_tags_that_nobody_has(driver, reachable):
    options = "readPreference=secondary&readPreferenceTags=dc:sf&serverSelectionTimeoutMS=300"
    async with driver.client(f"{reachable.uri}&{options}") as client:
        with pytest.raises(ServerSelectionTimeoutError, match=r"(?i)secondary"):
            await client.preferences.c.find_one()


@both_drivers
async def test_max_staleness_below_the_limit(driver, reachable):
    options = "readPreference=secondary&maxStalenessSeconds=20"
    async with driver.client(f"{reachable.uri}&{options}") as client:
        with pytest.raises(ConfigurationError, match="90"):
            await client.preferences.c.find_one()


# --- the declared API version


@pytest.fixture(scope="module")
def alone():
    """Members that require a version could not replicate from each other."""
    with ReplicaSet() as replica_set:
        yield replica_set


@both_drivers
async def test_strict_api_refuses_what_is_not_in_it(driver, mongodb_uri, mongodb_database_name):
    api = ServerApi("1", strict=True, deprecation_errors=True)
    async with driver.client(mongodb_uri, server_api=api) as client:
        database = client[mongodb_database_name]
        await database.c.insert_many([{"x": n} for n in range(10)])
        assert len(await database.c.find({}, batch_size=3).to_list()) == 10
        async with client.start_session() as session:
            await session.start_transaction()
            await database.c.insert_one({"x": 10}, session=session)
            assert await database.c.count_documents({}, session=session) == 11
            await session.commit_transaction()
        with pytest.raises(OperationFailure, match="API Version 1") as caught:
            await database.command("collStats", "c")
        assert caught.value.code == 323
        with pytest.raises(OperationFailure, match="API Version 1"):
            await database.c.distinct("x")


@both_drivers
async def test_the_declared_version_overrules_that_of_a_command(driver, mongodb_uri):
    async with driver.client(mongodb_uri, server_api=ServerApi("1", strict=False)) as client:
        # A server takes neither another version nor the same one twice.
        await client.admin.command("ping", apiVersion="2", apiStrict=True, comment="kept")


@both_drivers
async def test_a_server_that_requires_a_version(driver, alone):
    api = ServerApi("1")
    async with driver.client(alone.uri, server_api=api) as client:
        await client.admin.command("setParameter", 1, requireApiVersion=True)
        try:
            await client.required.c.insert_one({})
            cursor = client.required.c.find()
            assert len(await cursor.to_list()) == 1
            # Not even hello is answered without one.
            async with driver.client(alone.uri, serverSelectionTimeoutMS=300) as other:
                with pytest.raises(ServerSelectionTimeoutError, match="apiVersion"):
                    await other.required.c.find_one()
        finally:
            await client.admin.command("setParameter", 1, requireApiVersion=False)
            await client.drop_database("required")


@both_drivers
async def test_a_selector_chooses_among_real_servers(driver, reachable):
    [secondary] = reachable.secondaries

    def avoid_primary(servers):
        return [server for server in servers if server.server_type_name != "RSPrimary"] or servers

    async with driver.client(reachable.uri, server_selector=avoid_primary) as client:
        assert await who(client) == reachable.primary.port
        await eventually(driver, lambda: len(client.nodes) == 2)
        assert await who(client, ReadPreference.NEAREST) == secondary.port


@both_drivers
async def test_a_selector_is_not_called_for_an_operation_that_was_interrupted(
    driver, mongodb_uri, fail
):
    """The listener raises after the first attempt, and there is no second one."""
    asked = []

    def select(servers):
        asked.append(len(servers))
        return servers

    class Interrupt(BaseException):  # asyncio lets a KeyboardInterrupt end the event loop
        pass

    class Interrupting(monitoring.CommandListener):
        started = succeeded = lambda self, event: None

        def failed(self, event):
            raise Interrupt

    options = {"event_listeners": [Interrupting()], "server_selector": select, "appName": APP}
    async with driver.client(mongodb_uri, **options) as client:
        with fail("find", times=1, errorCode=134):
            with pytest.raises(Interrupt):
                await client.db.c.find_one()
            assert len(asked) == 1


# --- TLS


@both_drivers
async def test_tls_over_a_unix_socket_fails_if_the_server_has_no_tls(driver, reachable):
    path = quote(reachable.socket_of(reachable.primary), safe="")
    options = {"tlsAllowInvalidHostnames": True, "serverSelectionTimeoutMS": 700}
    async with driver.client(uri(path, directConnection="true", tls="true"), **options) as client:
        with pytest.raises(ServerSelectionTimeoutError):
            await client.admin.command("ping")
