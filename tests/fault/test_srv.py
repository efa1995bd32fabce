"""`mongodb+srv://` over time: the first look-up, and the polling of the records.

The names are those of a name server of our own. Its targets are called localhost, which a
`srv_host_validator` allows, where a server must be reached; else nobody is behind them.
"""

import asyncio
import gc
import threading
import time
import warnings

import pytest
from pymongo import common
from pymongo.errors import ConfigurationError, InvalidOperation
from tests.drivers import (
    DRIVER_NAME,
    AsyncDriver,
    both_drivers,
    eventually,
    ferromongo_only,
    package,
    patient,
)
from tests.fault.peer import Peer
from tests.fault.peer_answers import mongos
from tests.fault.programs import run
from tests.name_server import NameServer, looked_up

from ferromongo._calls.srv import THREAD_NAME

NAME = "cluster.sample.test"
URI = f"mongodb+srv://{NAME}/?tls=false&heartbeatFrequencyMS=500"
A, B, C, D = [(f"{letter}.sample.test", 27017) for letter in "abcd"]
REACHABLE = {"srv_host_validator": lambda host: host == "localhost"}


@pytest.fixture
def names():
    with NameServer() as names:
        names.srv(NAME, A, B)
        yield names


@pytest.fixture(autouse=True)
def _poll_often(monkeypatch):
    monkeypatch.setattr(common, "MIN_SRV_RESCAN_INTERVAL", 0.05)


def known(client):
    """All servers of the topology, reached or not."""
    client = plain(client)
    if DRIVER_NAME == "ferromongo":
        return set(client._core.topology()["servers"])
    return set(client.topology_description.server_descriptions())


def plain(client):
    return getattr(client, "_target", client)


def pollers():
    names = (THREAD_NAME, "pymongo_srv_polling_thread")
    return [thread for thread in threading.enumerate() if thread.name in names]


async def polled_again(driver, names):
    """One poll that began after this call has ended."""
    before = len(names.asked_for("SRV"))
    await eventually(driver, lambda: len(names.asked_for("SRV")) >= before + 2)


def opened(driver, **options):
    return looked_up(driver, URI, **options)


# The prose tests of the polling specification, by its numbers.


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param([A, B, C], {A, B, C}, id="1-one-more"),
        pytest.param([A], {A}, id="2-one-less"),
        pytest.param([A, C], {A, C}, id="3-one-replaced"),
        pytest.param([C], {C}, id="4-all-replaced-by-one"),
        pytest.param([C, D], {C, D}, id="5-all-replaced-by-two"),
        pytest.param([C, ("other.domain.test", 27017)], {C}, id="a-host-of-another-domain"),
    ],
)
@both_drivers
async def test_records_change(driver, after, expected, names):
    async with await opened(driver) as client:
        assert known(client) == {A, B}
        names.srv(NAME, *after)
        await eventually(driver, lambda: known(client) == expected)
        names.srv(NAME, A, B)
        await eventually(driver, lambda: known(client) == {A, B})


@pytest.mark.parametrize(
    "failure", ["6-timeout", "7-no-such-name", "8-no-records", "no-valid-host"]
)
@both_drivers
async def test_failures_change_nothing(driver, failure, names):
    options = {"connectTimeoutMS": 1000} if failure == "6-timeout" else {}
    async with await opened(driver, **options) as client:
        if failure == "6-timeout":
            names.silent = True
        elif failure == "7-no-such-name":
            names.records = {}
        elif failure == "8-no-records":
            names.srv(NAME)
        else:
            names.srv(NAME, ("other.domain.test", 27017))
        await polled_again(driver, names)
        assert known(client) == {A, B}
        names.silent = False
        names.srv(NAME, C)
        await eventually(driver, lambda: known(client) == {C})


@both_drivers
async def test_9_a_load_balancer_is_not_polled_for(driver, names):
    names.srv(NAME, A)
    names.txt(NAME, "loadBalanced=true")
    async with await opened(driver) as client:
        names.srv(NAME, B)
        await driver.sleep(0.3)
        assert names.asked_for("SRV") == [f"_mongodb._tcp.{NAME}."]
        assert known(client) == {A}
        assert pollers() == []


@pytest.mark.parametrize("limit", [0, 2, 3], ids=["10-none", "11-equal", "11-greater"])
@both_drivers
async def test_a_limit_that_is_not_exceeded(driver, limit, names):
    async with await opened(driver, srvMaxHosts=limit) as client:
        names.srv(NAME, C, D)
        await eventually(driver, lambda: known(client) == {C, D})


@both_drivers
async def test_12_servers_in_use_stay_and_chance_adds_others(driver, names):
    async with await opened(driver, srvMaxHosts=2) as client:
        assert known(client) == {A, B}
        names.srv(NAME, A, C, D)
        await eventually(driver, lambda: B not in known(client))
        assert A in known(client)
        assert len(known(client)) == 2


@both_drivers
async def test_13_the_service_name_is_polled_for(driver, names):
    names.srv(NAME, A, service="custom")
    async with await opened(driver, srvServiceName="custom") as client:
        assert known(client) == {A}
        names.srv(NAME, C, D, service="custom")
        await eventually(driver, lambda: known(client) == {C, D})
        assert set(names.asked_for("SRV")) == {f"_custom._tcp.{NAME}."}


@both_drivers
async def test_which_hosts_are_allowed(driver, names):
    other = ("db.elsewhere.example", 27017)
    names.srv(NAME, other)
    with pytest.raises(ConfigurationError, match="Invalid SRV host"):
        await opened(driver)
    async with await opened(driver, srvAllowedHostsSuffix="elsewhere.example") as client:
        assert known(client) == {other}
        names.srv(NAME, other, C, ("second.elsewhere.example", 1))
        await eventually(driver, lambda: known(client) == {other, ("second.elsewhere.example", 1)})
    asked = []
    names.srv(NAME, other)
    async with await opened(driver, srv_host_validator=lambda host: not asked.append(host)):
        assert asked == [other[0]]
    with pytest.raises(ConfigurationError, match="rejected by srv_host_validator"):
        await opened(driver, srv_host_validator=lambda host: False)


# With servers behind the names.


@both_drivers
async def test_a_replica_set_is_found_and_then_left_alone(driver, mongodb_replica_set, names):
    names.srv(NAME, *[("localhost", member.port) for member in mongodb_replica_set.members])
    names.txt(NAME, "authSource=thisDB")
    async with await opened(driver, **REACHABLE) as client:
        assert (await client.admin.command("ping"))["ok"] == 1
        assert client.options.replica_set_name is None
        primary = mongodb_replica_set.primary.address
        await eventually(driver, lambda: pollers() == [])
        names.srv(NAME, A)
        before = len(names.asked)
        await driver.sleep(0.7)
        assert len(names.asked) == before
        assert primary in [f"{host}:{port}" for host, port in known(client)]


@both_drivers
async def test_a_replica_set_that_the_text_record_names(driver, mongodb_replica_set, names):
    names.srv(NAME, ("localhost", mongodb_replica_set.primary.port))
    names.txt(NAME, f"replicaSet={mongodb_replica_set.name}&authSource=thisDB")
    client = driver.client(URI, connect=False, **REACHABLE)
    assert f"host='mongodb+srv://{NAME}'" in repr(client)
    async with client:
        await client.admin.command("ping")
        assert client.options.replica_set_name == mongodb_replica_set.name
        assert client.options.pool_options._ssl_context is None
        assert f"host=['localhost:{mongodb_replica_set.primary.port}']" in repr(client)
        assert "authsource='thisDB'" in repr(client)
        assert plain(client).eq_props()[2:] == (NAME, "mongodb")
        assert len(names.asked_for("SRV")) == 1
        assert pollers() == []


@both_drivers
async def test_mongos_that_stay_keep_their_connections(driver, names):
    with Peer(mongos, addresses=3) as peer:
        first, second, third = [
            ("localhost", int(address.rpartition(":")[2])) for address in peer.addresses
        ]
        names.srv(NAME, first, second)
        async with await opened(driver, localThresholdMS=10000, **REACHABLE) as client:
            await eventually(driver, lambda: client.nodes == {first, second})
            while {line.address for line in peer.lines_used} != {0, 1}:
                await client.admin.command("ping")
            names.srv(NAME, first, third)
            await eventually(driver, lambda: client.nodes == {first, third})
            [dropped] = [line for line in peer.lines_used if line.address == 1]
            await eventually(driver, lambda: not dropped.open)
            while 2 not in {line.address for line in peer.lines_used}:
                await client.admin.command("ping")
            assert [line.open for line in peer.lines_used if line.address == 0] == [True]


# The look-up and its thread.


@both_drivers
async def test_a_failed_look_up_is_tried_anew(driver, names):
    names.records = {}
    client = driver.client(URI, connect=False, serverSelectionTimeoutMS=1000)
    async with client:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="name does not exist"):
                await client.admin.command("ping")
        names.srv(NAME, A)
        with pytest.raises(package.errors.ServerSelectionTimeoutError):
            await client.admin.command("ping")
        assert known(client) == {A}
    assert names.asked_for("SRV")[:3] == [f"_mongodb._tcp.{NAME}."] * 3


def test_an_event_loop_goes_on_while_a_name_server_is_silent(names):
    ticks = []

    async def tick():
        while True:
            await asyncio.sleep(0.01)
            ticks.append(1)

    async def body():
        names.silent = True
        async with package.AsyncMongoClient(URI, connectTimeoutMS=1000) as client:
            ticking = asyncio.ensure_future(tick())
            with pytest.raises(ConfigurationError, match="lifetime expired"):
                await client.admin.command("ping")
            ticking.cancel()
            assert len(ticks) > 10

    asyncio.run(body())


@ferromongo_only  # there each operation looks up by itself
def test_operations_that_come_together_wait_for_one_look_up(names):
    async def body():
        names.silent = True
        async with package.AsyncMongoClient(URI, connectTimeoutMS=1000) as client:
            errors = await asyncio.gather(
                *[client.admin.command("ping") for _ in range(20)], return_exceptions=True
            )
        assert {type(error) for error in errors} == {ConfigurationError}
        assert len({id(error) for error in errors}) == 20
        assert len(set(map(str, errors))) == 1

    asyncio.run(body())


@ferromongo_only  # a close before the look-up is forgotten there
def test_close_ends_the_wait_for_a_look_up(names):
    async def body():
        names.silent = True
        client = package.AsyncMongoClient(URI, connectTimeoutMS=2000)
        waiting = asyncio.ensure_future(client.admin.command("ping"))
        cancelled = asyncio.ensure_future(client.admin.command("ping"))
        await eventually(AsyncDriver(), lambda: names.asked)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await client.close()
        with pytest.raises(InvalidOperation):
            await waiting
        with pytest.raises(InvalidOperation):
            await client.admin.command("ping")
        await eventually(AsyncDriver(), lambda: pollers() == [])

    asyncio.run(body())


@both_drivers
async def test_no_thread_is_left_by_close(driver, names):
    async with await opened(driver):
        assert DRIVER_NAME != "ferromongo" or len(pollers()) == 1
    await eventually(driver, lambda: pollers() == [])


@ferromongo_only
@both_drivers
async def test_no_thread_is_left_by_a_client_that_nobody_holds(driver, names):
    client = await opened(driver)
    await polled_again(driver, names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del client
        gc.collect()
    await eventually(driver, lambda: pollers() == [])


def test_a_failing_constructor_leaves_nothing(names):
    names.records = {}
    with pytest.raises(ConfigurationError, match="name does not exist"):
        package.MongoClient(URI)
    gc.collect()
    assert pollers() == []


@ferromongo_only
@pytest.mark.parametrize("way", ["forked", "interrupted"])
def test_program(way, names, mongodb_replica_set):
    names.srv(NAME, ("localhost", mongodb_replica_set.primary.port))
    names.silent = way == "interrupted"
    started = time.monotonic()
    answer = run("looked_up", way, str(names.port), URI)
    assert answer == {"forked": ["child", "parent"], "interrupted": "KeyboardInterrupt"}[way]
    assert time.monotonic() - started < patient(15)
