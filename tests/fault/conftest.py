"""Fault tests may hurt the session's replica set: it is whole again before the next test."""

import pytest
from tests.fault.proxy import Proxy


@pytest.fixture
def replica_set(mongodb_replica_set):
    yield mongodb_replica_set
    mongodb_replica_set.recover()


@pytest.fixture
def proxy(mongodb_replica_set):
    """A line to the primary that can be cut, slowed and stalled."""
    with Proxy(mongodb_replica_set.primary.address) as proxy:
        yield proxy
