"""Two hundred clients opened, used and closed leave nothing behind."""

import sys

import pytest
from tests.fault.programs import run


@pytest.mark.skipif(sys.platform != "linux", reason="counts through /proc")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_clients_leave_nothing_behind(kind, mongodb_uri, mongodb_database_name):
    report = run("many_clients", kind, mongodb_uri, mongodb_database_name)
    before, after = report["before"], report["after"]
    assert after["threads"] <= before["threads"]
    assert after["fds"] <= before["fds"]
    # A leak of 20 KB for each client would show; the allocator's own habits stay below it.
    assert after["memory"] - before["memory"] < 4 * 2**20
