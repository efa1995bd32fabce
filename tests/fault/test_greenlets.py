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
    "storm",
    "forked",
    "left",
    "listeners",
    "decoders",
    "handlers",
    "background",
]
HUBS = [("gevent", "libev-cext"), ("gevent", "libuv-cffi"), ("eventlet", "")]
HUBS = [hub for hub in HUBS if importlib.util.find_spec(hub[0])]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("hub", HUBS, ids="-".join)
@pytest.mark.parametrize("what", CASES)
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
