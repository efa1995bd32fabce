"""The synchronous classes are what the converter makes of the asynchronous ones."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generated_files_are_up_to_date() -> None:
    command = [sys.executable, "python/tools/async_to_sync.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_waits_in_the_synchronous_classes() -> None:
    for path in (ROOT / "python/ferromongo/synchronous").glob("*.py"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], 2):
            words = line.replace("(", " ").split()
            assert "await" not in words, f"{path.name}:{number}"
            assert "async" not in words, f"{path.name}:{number}"
