"""The interpreter ends while daemon threads are in the engine: no crash, no message, no delay.

FERROMONGO_EXITS is the number of runs of each test.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fault.programs.ending import SETUPS

ROUNDS = int(os.environ.get("FERROMONGO_EXITS", "1"))


@pytest.fixture
def prefix(client, mongodb_database_name):
    yield mongodb_database_name
    client.admin.command("killAllSessions", [])  # open transactions hold locks for a minute
    for name in client.list_database_names():
        if name.startswith(f"{mongodb_database_name}_"):
            client.drop_database(name)


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.fault.programs.ending", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(60 + 30 * ROUNDS)
@pytest.mark.parametrize("api", ["sync", "async"])
@pytest.mark.parametrize("what", SETUPS)
def test_the_interpreter_exits_cleanly_with_daemon_threads_in_the_engine(
    what, api, mongodb_uri, prefix
):
    for _ in range(ROUNDS):
        arguments = (what, api, mongodb_uri)
        programs = [
            start(*arguments, f"{prefix}_q"),
            start(*arguments, f"{prefix}_s", ENDING_SLOWLY="1"),
        ]
        try:
            said = [program.communicate(timeout=50)[1] for program in programs]
        finally:
            for program in programs:
                program.kill()
        assert [program.returncode for program in programs] == [0, 0], said
        assert said == ["", ""]
