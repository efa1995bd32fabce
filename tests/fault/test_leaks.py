"""Two hundred clients opened, used and closed leave nothing behind, nor do hostile peers."""

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


@pytest.mark.skipif(sys.platform != "linux", reason="counts through /proc")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_hostile_peers_leave_nothing_behind_and_keep_nobody_busy(kind, capfd):
    report = run("hostile_peers", kind)
    before, after = report["before"], report["after"]
    for what in ("threads", "fds", "readers"):
        assert after[what] <= before[what]
    assert report["busy"] < 0.2  # of a second
    assert capfd.readouterr().err == ""  # no panic was told


@pytest.mark.skipif(sys.platform != "linux", reason="counts through /proc")
@pytest.mark.parametrize("ahead", ["ahead", ""])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_iterating_over_many_documents_keeps_none(kind, ahead, mongodb_uri, mongodb_database_name):
    report = run("read_through", kind, mongodb_uri, mongodb_database_name, ahead)
    assert report["count"] == 100_000
    after_a_fifth, after_all = report["resident"]
    # Kept, the other 80,000 would take more than 30 MB.
    assert after_all - after_a_fifth < 4 * 2**20
