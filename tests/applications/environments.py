"""Virtual environments for the programs, kept in `.venv-applications` until what they need changes.

ferromongo itself is not installed there a second time: a link leads to the one that runs this.
"""

import fcntl
import importlib.metadata
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.applications.table import FOLDER, Program, programs

import ferromongo

CACHE = FOLDER.parents[1] / ".venv-applications"
CONSTRAINTS = FOLDER / "constraints.txt"
# What `make venv` installs too: these versions are the peers of all comparisons.
PEERS = ("pymongo==4.20.0", "motor==3.7.1")


def python_of(program: Program) -> Path:
    """The interpreter of the program's environment, which is made if there is none."""
    folder = CACHE / program.environment
    python = folder / "bin" / "python"
    made_for = folder / "made_for.txt"
    wanted = _wanted(program.environment)
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of pytest-xdist
        if not made_for.exists() or made_for.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, symlinks=True)
            _install(python, _requirements(program.environment))
            made_for.write_text(wanted, encoding="utf-8")
        _link_ferromongo(folder)
    return python


def _requirements(environment: str) -> list[str]:
    """Of all programs that share it."""
    of_programs = {
        requirement
        for program in programs().values()
        if program.environment == environment
        for requirement in program.requires
    }
    return sorted({*of_programs, *PEERS})


def _wanted(environment: str) -> str:
    return "\n".join(
        [sys.version, *_requirements(environment), CONSTRAINTS.read_text(encoding="utf-8")]
    )


def _install(python: Path, requirements: list[str]) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet"]
    subprocess.run(
        [*pip, "install", "--no-compile", "--constraint", str(CONSTRAINTS), *requirements],
        check=True,
    )


def _link_ferromongo(folder: Path) -> None:
    [packages] = folder.glob("lib/python*/site-packages")
    installed = importlib.metadata.distribution("ferromongo")
    description = f"ferromongo-{installed.version}.dist-info"
    for name, target in (
        ("ferromongo", Path(ferromongo.__file__).parent),
        (description, Path(str(installed.locate_file(description)))),
    ):
        link = packages / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
