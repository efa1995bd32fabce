"""The parent's end of the supervisor: start it, ask it, end it."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Protocol


class ServerFailed(RuntimeError):
    """A mongod did not start, or the supervisor ended."""


class Servers(Protocol):
    """What a replica set needs of its supervisor."""

    @property
    def directory(self) -> Path: ...

    def ask(self, verb: str, argument: Any = None) -> dict[str, Any]: ...

    def close(self) -> None: ...


class Supervised:
    """A running supervisor; one request at a time, from any thread of the process that made it."""

    def __init__(self, command: list[str], directory: str | None, timeout: float) -> None:
        settings = {
            "command": command,
            "directory": directory,
            "timeout": timeout,
            "parent": os.getpid(),
        }
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            # -I -S: the standard library alone, so nothing of the user's environment can fail it.
            [sys.executable, "-I", "-S", str(SCRIPT), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C
        )
        try:
            self.directory = Path(self._answer()["directory"])
        except BaseException:
            self.close()
            raise

    def ask(self, verb: str, argument: Any = None) -> dict[str, Any]:
        if os.getpid() != self._owner:
            raise RuntimeError("the servers belong to the process that started them, not to a fork")
        with self._lock:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps({verb: argument}).encode() + b"\n")
                self._process.stdin.flush()
            except BrokenPipeError:
                raise ServerFailed("the supervisor has ended") from None
            return self._answer()

    def close(self) -> None:
        """Ends every server and removes the data; returns when both are done."""
        if os.getpid() != self._owner:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ServerFailed("the supervisor has ended")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise ServerFailed(reply["error"])
        return reply


SCRIPT = Path(__file__).with_name("supervisor.py")
