"""Run the quick part of the tests on every other CPython of this machine, from 3.11 on.

    .venv/bin/python python/tools/other_pythons.py          all that are found
    .venv/bin/python python/tools/other_pythons.py 3.13     only these

It looks on PATH and among the versions of pyenv, and takes the newest release of each minor version
but this interpreter's own. Each gets a virtual environment and a wheel below `target/pythons`. The
newest PyMongo is installed there, while `.venv` has the oldest that is supported. The wheels are
built as `make build` does, in the same target directory: only what knows Python is compiled again.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "pythons"
TOOLS = Path(sys.executable).parent
OLDEST = (3, 11)

# What may differ from one version to the next: the C API, asyncio, the end of the interpreter.
QUICK = (
    "tests/unit",
    "tests/property",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/parity/test_codec_*.py")),
    "tests/server/test_anext.py",
    "tests/server/test_isolation.py",
    "tests/server/test_listeners.py",
    "tests/server/test_transactions.py",
    "tests/fault/test_cancellation.py",
    "tests/fault/test_context.py",
    "tests/fault/test_event_loops.py",
    "tests/fault/test_exit.py",
    "tests/fault/test_fork.py",
    "tests/fault/test_interrupt.py",
)

PYTEST_OPTIONS = ["-q", "-p", "no:cacheprovider", "--durations=20", "-n2", "--dist=worksteal"]

DESCRIBE = """
import json, sys, sysconfig
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
released = sys.implementation.name == "cpython" and sys.version_info.releaselevel == "final"
print(json.dumps([sys.executable, sys.version_info[:3], released and not free_threaded]))
"""


class Python(NamedTuple):
    version: tuple[int, ...]
    path: str

    @property
    def name(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def main(wanted: list[str]) -> int:
    pythons = [python for python in found() if not wanted or python.name in wanted]
    if missing := set(wanted) - {python.name for python in pythons}:
        print(f"not found: {', '.join(sorted(missing))}")
        return 1
    print("other Pythons:", *[python.path for python in pythons] or ["none"])
    # The tests of one Python, which wait for servers most of the time, run while the next is built.
    with concurrent.futures.ThreadPoolExecutor() as threads:
        runs = [threads.submit(test, python, install(python)) for python in pythons]
        failed = [run.result() for run in concurrent.futures.as_completed(runs)]
    return int(any(failed))


def test(python: Python, environment: Path) -> bool:
    """Whether they failed."""
    start = time.monotonic()
    command = [environment / "bin" / "python", "-m", "pytest", *PYTEST_OPTIONS, *QUICK]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    failed = done.returncode != 0
    seconds = f"tested in {time.monotonic() - start:.0f} s"
    said = done.stdout.decode(errors="replace")
    # In one piece, as the tests of several Pythons run at the same time.
    print(f"{said}Python {python.name}: {'failed' if failed else 'passed'}, {seconds}", flush=True)
    return failed


def found() -> list[Python]:
    """The newest of each minor version, the oldest version first."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders += sorted((pyenv / "versions").glob("*/bin"))
    newest: dict[tuple[int, ...], Python] = {}
    for folder in folders:
        for path in sorted(folder.glob("python3*")):
            if path.name.removeprefix("python3").strip(".0123456789"):
                continue  # python3-config and the like
            python = described(path)
            if python is None or python.version[:2] < OLDEST:
                continue
            known = newest.setdefault(python.version[:2], python)
            if python.version > known.version:
                newest[python.version[:2]] = python
    newest.pop(sys.version_info[:2], None)
    return sorted(newest.values())


def described(path: Path) -> Python | None:
    """None for what is no released CPython with a GIL, or does not run (as pyenv's shims may)."""
    try:
        command = [path, "-I", "-c", DESCRIBE]
        done = subprocess.run(command, capture_output=True, timeout=30, check=True)
        executable, version, supported = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Python(tuple(version), executable) if supported else None


def install(python: Python) -> Path:
    """An environment of that Python with the wheel and what its tests need."""
    start = time.monotonic()
    folder = FOLDER / python.name
    environment = folder / "venv"
    executable = environment / "bin" / "python"
    # Without pip, which a system's Python may lack: this environment's installs there too.
    subprocess.run([python.path, "-m", "venv", "--clear", "--without-pip", environment], check=True)
    build = [TOOLS / "maturin", "build", "--release", "--locked", "--interpreter", executable]
    settings = {**os.environ, "PYO3_PYTHON": str(executable)}
    for old in folder.glob("*.whl"):
        old.unlink()
    subprocess.run([*build, "--out", folder], cwd=ROOT, env=settings, check=True)
    (wheel,) = folder.glob("*.whl")
    pip = [TOOLS / "pip", "--python", executable, "install", "--quiet"]
    subprocess.run([*pip, "--group", "tests", f"{wheel}[embedded]"], cwd=ROOT, check=True)
    print(f"Python {python.name}: built in {time.monotonic() - start:.0f} s", flush=True)
    return environment


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
