"""Fault tests may hurt the session's replica set: it is whole again before the next test."""

import contextlib

import pytest
from tests.fault.proxy import Proxy


@pytest.fixture
def replica_set(mongodb_replica_set):
    yield mongodb_replica_set
    mongodb_replica_set.recover()


@pytest.fixture
def fail(client):
    """`with fail("find", times=2, errorCode=134):` commands of clients named `APP` fail so."""

    @contextlib.contextmanager
    def fail(*commands, times=None, **how):
        mode = "alwaysOn" if times is None else {"times": times}
        data = {"failCommands": commands, "appName": APP, **how}
        client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")

    return fail


@pytest.fixture
def proxy(mongodb_replica_set):
    """A line to the primary that can be cut, slowed and stalled."""
    with Proxy(mongodb_replica_set.primary.address) as proxy:
        yield proxy


APP = "tests of faults"
