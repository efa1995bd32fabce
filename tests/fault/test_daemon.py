"""Daemons, which close all their descriptors after a fork, go on using their clients."""

import pytest
from tests.drivers import ferromongo_only
from tests.fault.programs import run

WAYS = {
    "inherited": [[10, True], 1.0],
    "new": [[10, True], 1.0],
    "first": [10, True],
    "new_loop": [10, True],
    "grandchild": [[10, "20", 1.0], True],
    "without_fork": ["AutoReconnect", 1, 1, 1],
}


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=ferromongo_only if way == "new_loop" else ()) for way in WAYS]
)
def test_a_daemon_that_closed_all_descriptors_can_use_clients(
    way, mongodb_uri, mongodb_database_name
):
    assert run("daemon", way, mongodb_uri, mongodb_database_name) == WAYS[way]
