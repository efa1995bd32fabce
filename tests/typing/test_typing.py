"""Run mypy over a file it must accept and one whose marked lines it must refuse."""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def mypy(name: str) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(HERE / name)]
    # From the project's root, so that its configuration finds the sources.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout


def test_accepted() -> None:
    assert mypy("accepted.py") == ""


def test_rejected() -> None:
    source = (HERE / "rejected.py").read_text(encoding="utf-8").splitlines()
    marked = {
        (number, code)
        for number, line in enumerate(source, 1)
        for code in re.findall(r"# error: ([\w-]+)", line)
    }
    errors = re.findall(r"rejected\.py:(\d+): error: .*\[([\w-]+)\]$", mypy("rejected.py"), re.M)
    reported = {(int(number), code) for number, code in errors}
    assert marked
    assert reported == marked
