"""Fixtures of all tests. The server comes from ferromongo's own pytest plugin (`mongodb_uri`,
`mongodb_replica_set`, `mongodb_database_name`): one replica set serves the whole session, or each
worker of pytest-xdist."""

import gc

import pytest

import ferromongo_pytest
from tests import hypothesis_profile  # noqa: F401
from tests.drivers import APP, AsyncDriver, SyncDriver, package


def pytest_configure(config):
    # Tests kill members and set fail points. A worker that is lent no servers starts its own.
    getattr(config, "workerinput", {}).pop(ferromongo_pytest.WORKERINPUT, None)


@pytest.fixture(autouse=True, scope="module")
def quick_collections():
    """What pytest knows of thousands of tests is not walked again: each gc.collect() took 0.2 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def client(mongodb_uri):
    with package.MongoClient(mongodb_uri) as client:
        yield client


@pytest.fixture
async def async_client(mongodb_uri):
    async with package.AsyncMongoClient(mongodb_uri) as client:
        yield client


@pytest.fixture
def database(client, mongodb_database_name):
    return client[mongodb_database_name]


@pytest.fixture
async def async_database(async_client, mongodb_database_name):
    return async_client[mongodb_database_name]


@pytest.fixture
def fail(mongodb_replica_set):
    """`with fail("find", times=2, errorCode=134):` commands of clients named `APP` fail so."""

    def fail(*commands, **how):
        return mongodb_replica_set.failpoint(failCommands=commands, appName=APP, **how)

    return fail


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=lambda driver: driver.name)
def driver(request):
    """Runs an `async def` test body on the blocking or on the event-loop driver: drivers.py."""
    return request.param()
