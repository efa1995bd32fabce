"""Programs that call `ferromongo.install()`, which changes all modules, in their own processes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path


def run(
    program: str,
    *arguments: str,
    warnings: str = "error",
    cwd: Path | None = None,
    **environment: str,
) -> str:
    """What the program printed; it must end well and complain of nothing."""
    ended = subprocess.run(
        [sys.executable, "-W", warnings, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=cwd,
        env=os.environ | environment,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    return ended.stdout
