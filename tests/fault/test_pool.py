"""Connection pools when servers are busy, slow or gone: who fails, who waits, and with what."""

import pytest
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError
from tests.drivers import DRIVER_NAME, both_drivers, eventually, takes

OVERLOADED = {"SystemOverloadedError", "RetryableError"}


def failing_handshakes(replica_set, name, **how):
    """New connections of the application `name` fail; those that are made stay as they are."""
    return replica_set.failpoint(failCommands=["hello", "isMaster"], appName=name, **how)


def labels(error):
    return {label for label in OVERLOADED if error.has_error_label(label)}


# A connection is used once, and the monitors say nothing while a test runs.
SHORT_LIVED = {
    "directConnection": True,
    "maxIdleTimeMS": 1,
    "heartbeatFrequencyMS": 60_000,
    "retryReads": False,
}

FAILURES = {
    "cut": ({"closeConnection": True}, AutoReconnect),
    "slow": ({"blockConnection": True, "blockTimeMS": 2000}, NetworkTimeout),
}


@pytest.mark.parametrize("failure", FAILURES)
@both_drivers
async def test_a_busy_server_is_not_taken_for_dead(
    driver, failure, replica_set, mongodb_database_name
):
    data, expected = FAILURES[failure]
    # PyMongo bounds the dial by the one, hello by the other.
    timeouts = {"connectTimeoutMS": 700, "socketTimeoutMS": 700}
    options = SHORT_LIVED | timeouts | {"appName": f"busy-{failure}-{driver.name}"}
    async with driver.client(replica_set.primary.address, **options) as client:
        collection = client[mongodb_database_name].c
        assert await collection.find_one() is None
        await driver.sleep(0.01)
        with failing_handshakes(replica_set, options["appName"], **data):
            with takes(0, 5), pytest.raises(expected) as raised:
                await collection.find_one()
            assert labels(raised.value) == OVERLOADED
            primary = replica_set.primary
            assert client.nodes == {(primary.host, primary.port)}
        with takes(0, 5):
            assert await collection.find_one() is None


@pytest.mark.skipif(
    DRIVER_NAME == "pymongo", reason="it waits for the monitor's next check, here a minute"
)
@both_drivers
async def test_a_server_that_refuses_hello_is_unknown_until_its_next_check(
    driver, replica_set, mongodb_database_name
):
    options = SHORT_LIVED | {"appName": f"refused-{driver.name}"}
    async with driver.client(replica_set.primary.address, **options) as client:
        collection = client[mongodb_database_name].c
        assert await collection.find_one() is None
        await driver.sleep(0.01)
        with failing_handshakes(replica_set, options["appName"], times=1, errorCode=91):
            with pytest.raises(NotPrimaryError) as raised:
                await collection.find_one()
            assert labels(raised.value) == set()
        with takes(0, 20):
            assert await collection.find_one() is None


@both_drivers
async def test_those_who_wait_fail_when_the_pool_is_cleared(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(maxPoolSize=1, retryReads="false")) as client:
        collection = client[mongodb_database_name].c
        assert await collection.find_one() is None
        proxy.delay = 1.5
        proxy.cut("find", after=0)

        async def find():
            return await collection.find_one()

        first = driver.start(find)
        await driver.sleep(0.2)
        second = driver.start(find)
        with pytest.raises(AutoReconnect):
            await first.result()
        with takes(0, 5), pytest.raises(AutoReconnect, match="connection pool paused"):
            await second.result()
        proxy.delay = 0
        assert await collection.find_one() is None
    assert proxy.seen["find"] == 3


@both_drivers
async def test_those_who_wait_try_again_when_the_pool_is_cleared(
    driver, proxy, mongodb_database_name
):
    async with driver.client(proxy.uri(maxPoolSize=1)) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "n": 0})
        proxy.delay = 0.3
        proxy.cut("update", after=0)

        async def update():
            await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})

        jobs = [driver.start(update) for _ in range(3)]
        await driver.sleep(0.1)
        proxy.delay = 0
        for job in jobs:
            await job.result()
        assert await collection.find_one() == {"_id": 1, "n": 3}


@both_drivers
async def test_operations_end_when_the_monitor_finds_the_server_silent(
    driver, proxy, mongodb_database_name
):
    options = {"connectTimeoutMS": 500, "heartbeatFrequencyMS": 500, "retryReads": "false"}
    async with driver.client(proxy.uri(**options)) as client:
        collection = client[mongodb_database_name].c
        assert await collection.find_one() is None
        proxy.freeze()
        # No time limit of its own.
        with takes(0, 20), pytest.raises(AutoReconnect):
            await collection.find_one()
        proxy.thaw()
        assert await collection.find_one() is None


@both_drivers
async def test_the_least_number_of_connections_is_kept(driver, proxy):
    async with driver.client(proxy.uri(minPoolSize=10)) as client:
        await client.admin.command("ping")
        # The monitors have some of their own.
        await eventually(driver, lambda: 10 <= len(proxy.open_links) <= 14, timeout=30)
        for link in proxy.links_of("ping"):
            assert link.open
    await eventually(driver, lambda: not proxy.open_links)
