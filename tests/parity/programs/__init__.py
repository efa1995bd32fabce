"""Small programs that codec tests run as processes of their own: they may end badly."""

import os
import subprocess
import sys
from pathlib import Path


def run(name: str, *options: str, timeout: float = 180, **environment: str) -> str:
    """What the program printed; it must end well."""
    ended = subprocess.run(
        [sys.executable, *options, "-m", f"tests.parity.programs.{name}"],
        cwd=Path(__file__).parents[3],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-4000:]
    return ended.stdout
