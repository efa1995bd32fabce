"""Three ways to run a program: on PyMongo, with `install()` first, or after the imports."""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import pymongo
from tests.applications.table import FOLDER, Program

PLAIN, FIRST, LATE = "plain", "first", "late"
# `main` is called when all imports of the program are done and its classes are there.
INSTALL_LATE = "import {module}, ferromongo, sys; ferromongo.install(); {module}.main(sys.argv[1])"
# A developer's own agents and settings stay out of it.
ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Outcome:
    said: str
    """What the program printed, and how it ended if not well."""
    complaints: str
    drivers: frozenset[str]
    """Which drivers the server saw."""


def run(program: Program, way: str, python: Path, uri: str, limit: float = 150) -> Outcome:
    application = f"{program.name}-{way}"
    uri = uri if "?" in uri else uri.rstrip("/") + "/?"
    command = [str(python), *_arguments(program, way), f"{uri}&appName={application}"]
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    with pymongo.MongoClient(uri) as client, _no_databases(client, program.name):
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=FOLDER,
            env=kept | {"PYTHONHASHSEED": "0"},
        )
        drivers: set[str] = set()
        with process:
            for _ in range(int(limit)):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    said, complaints = process.communicate(timeout=1)
                    break
                drivers |= _drivers_seen(client, application)
            else:
                process.kill()
                said, complaints = process.communicate()
        drivers |= _drivers_seen(client, application)
    if process.returncode != 0:
        said += f"(ended with {process.returncode})\n"
    return Outcome(said, complaints, frozenset(drivers))


def differences(plain: Outcome, other: Outcome) -> str:
    """What differs from the run on PyMongo; nothing if all is well."""
    lines = unified_diff(
        plain.said.splitlines(), other.said.splitlines(), "PyMongo", "ferromongo", "", "", 0, ""
    )
    found = list(lines)
    if other.drivers != {"ferromongo"}:
        found.append(f"the server saw {', '.join(sorted(other.drivers)) or 'no driver'}")
    found += [
        line
        for line in other.complaints.splitlines()
        if re.search(r"Warning|Traceback|^\w*(Error|Exception)\b", line)
        and line not in plain.complaints
    ]
    return "\n".join(found)


def _arguments(program: Program, way: str) -> list[str]:
    script = f"{program.module}.py"
    match way:
        case "plain":
            return [script]
        case "first":
            return ["-m", "ferromongo", "run", script]
        case "late":
            return ["-c", INSTALL_LATE.format(module=program.module)]
        case _:
            raise ValueError(way)


def _drivers_seen(client: pymongo.MongoClient, application: str) -> set[str]:
    """From the handshakes in the server's log, so a library that kept PyMongo's classes shows."""
    lines = client.admin.command("getLog", "global")["log"]
    handshakes = (
        re.search(r'"driver":\{"name":"([^"]+)"', line)
        for line in lines
        if '"client metadata"' in line and f'"name":"{application}"' in line
    )
    names = (found[1].split("|") for found in handshakes if found)
    # The monitors are another driver's, with ours behind it.
    return {"ferromongo" if "ferromongo" in name else name[0] for name in names}


@contextlib.contextmanager
def _no_databases(client: pymongo.MongoClient, prefix: str) -> Iterator[None]:
    """All databases of a program begin with its name."""

    def drop() -> None:
        for name in client.list_database_names():
            if name.startswith(prefix):
                client.drop_database(name)

    drop()
    try:
        yield
    finally:
        drop()
