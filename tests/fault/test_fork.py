"""A client that is forked along with its process works in both, without mixing up answers."""

import pytest
from tests.drivers import ferromongo_only
from tests.fault.programs import run

WAYS = {
    "os_fork": ["30 by parent", "30 by child"],
    "under_load": [f"30 by thread{n}" for n in range(4)] + [f"30 by child{n}" for n in range(3)],
    "pool": ["30 by parent"] + [f"30 by child{n}" for n in range(3)],
    "new_loop": ["30 by parent", "30 by again", "30 by child"],
    "child_only": ["30 by child"],
    "sessions": [True, True, False],
}


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=ferromongo_only if way == "new_loop" else ()) for way in WAYS]
)
def test_fork(way, mongodb_uri, mongodb_database_name):
    assert run("forked", way, mongodb_uri, mongodb_database_name) == WAYS[way]


def test_a_child_finds_the_servers_by_itself(proxy, mongodb_database_name):
    proxy.delay = 0.3
    assert run("forked", "at_once", proxy.uri(), mongodb_database_name) == 1
