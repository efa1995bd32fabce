"""Small programs that the fault tests run as processes of their own; each prints one JSON line."""

import json
import subprocess
import sys
from pathlib import Path


def start(name, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", f"tests.fault.programs.{name}", *arguments],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def run(name, *arguments, timeout=150):
    """The program's answer; it must end well."""
    with start(name, *arguments) as program:
        try:
            output, _ = program.communicate(timeout=timeout)
        except BaseException:
            program.kill()
            raise
    assert program.returncode == 0, output
    return json.loads(output.splitlines()[-1])
