"""Blocking calls on gevent and eventlet: programs of their own, since patching cannot be undone."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = [
    "crud",
    "overlapping",
    "pool_of_one",
    "conflict",
    "transactions",
    "atomic_conflicts",
    "atomic_ends",
    "change_stream",
    "many",
    "threads",
    "other_hubs",
    "looked_up",
    "asynchronous",
    "unpatched",
    "late",
    "interrupted",
    "timeout",
    "killed",
    "cursors",
    "read_ahead",
    "storm",
    "forked",
    "left",
    "listeners",
    "decoders",
    "handlers",
    "background",
]
OF_THE_LOOP = {
    "overlapping",
    "pool_of_one",
    "change_stream",
    "other_hubs",
    "interrupted",
    "timeout",
    "killed",
    "storm",
    "forked",
    "left",
}
"""What depends on gevent's event loop."""
HUBS = [("gevent", "libev-cext"), ("gevent", "libuv-cffi"), ("eventlet", "")]
HUBS = [hub for hub in HUBS if importlib.util.find_spec(hub[0])]
ALL = [
    pytest.param(what, hub, id="-".join(filter(None, (what, *hub))))
    for hub in HUBS
    for what in CASES
    if what in OF_THE_LOOP or hub[1] != "libuv-cffi"
]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("what", "hub"), ALL)
def test_calls_in_greenlets(what, hub, mongodb_uri, mongodb_database_name):
    library, loop = hub
    arguments = (library, what, mongodb_uri, mongodb_database_name)
    program = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.fault.programs.greenlets", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **({"GEVENT_LOOP": loop} if loop else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert (program.stdout, program.returncode) == ("well\n", 0), program.stderr
