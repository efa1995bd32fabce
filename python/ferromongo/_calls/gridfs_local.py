"""Local files beside GridFS: how long a source is, and a download that appears when it is whole."""

from __future__ import annotations

import inspect
import os
import secrets
import shutil
import stat
from contextlib import suppress
from typing import Any, BinaryIO


def is_path(given: Any) -> bool:
    """Whether a source or destination is a path. A str is none: an upload may store text."""
    return isinstance(given, os.PathLike)


def check_path(path: Any) -> str:
    """The path as a str; raises TypeError unless it is one."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or an os.PathLike, not {type(path)}")
    return os.fsdecode(path)


def bytes_left(source: Any) -> int | None:
    """How many bytes a file has from where it is, if that can be known without reading it."""
    if inspect.iscoroutinefunction(getattr(source, "read", None)):
        return None
    try:
        if hasattr(source, "getbuffer"):
            return max(len(source.getbuffer()) - int(source.tell()), 0)
        found = os.fstat(source.fileno())
        if stat.S_ISREG(found.st_mode):
            return max(found.st_size - int(source.tell()), 0)
    except (AttributeError, OSError, TypeError, ValueError):
        pass
    return None


class LocalDownload:
    """A file beside its destination, which takes the destination's place when it is whole.

    Its functions block.
    """

    def __init__(self, path: str) -> None:
        # A link remains, and leads to the new file.
        self._target = os.path.realpath(path)
        folder, name = os.path.split(self._target)
        # Names have 255 bytes at most.
        self._part = os.path.join(folder, f".{name[:48]}.{secrets.token_hex(8)}.part")
        self._file: BinaryIO | None = None

    def begin(self) -> None:
        """Raises OSError if the destination is a directory, or cannot be made."""
        if os.path.isdir(self._target):
            raise IsADirectoryError(21, "a file cannot be downloaded to a directory", self._target)
        self._file = open(self._part, "xb")  # noqa: SIM115

    def write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)

    def keep(self) -> None:
        """It is whole. An existing file is replaced, whose permissions it gets."""
        assert self._file is not None
        self._file.close()
        with suppress(FileNotFoundError):
            shutil.copymode(self._target, self._part)
        os.replace(self._part, self._target)

    def discard(self) -> None:
        """Remove it; the destination is as it was."""
        if self._file is not None:
            with suppress(OSError):  # the disk may be full
                self._file.close()
            with suppress(FileNotFoundError):
                os.unlink(self._part)
