"""The end of a pytest-xdist worker: a replica set that the controller owns."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

from ferromongo.embedded import ReplicaSet, ServerFailed


def borrow(address: str) -> ReplicaSet:
    """The controller's replica set, which it starts if it is the first to be asked for it."""
    servers = _Servers(address)
    lent = servers.request("borrow", None)["lent"]
    servers.directory = Path(lent["directory"])
    return ReplicaSet.borrowed(lent, servers)


class _Servers:
    """What `Supervised` is where the set was started."""

    directory: Path

    def __init__(self, address: str) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(address)
        self._lines = self._socket.makefile("r")

    def ask(self, verb: str, argument: Any = None) -> dict[str, Any]:
        reply: dict[str, Any] = self.request(verb, argument)["reply"]
        return reply

    def close(self) -> None:
        """The servers go on, for the other workers."""
        self._lines.close()
        self._socket.close()

    def request(self, verb: str, argument: Any) -> dict[str, Any]:
        if os.getpid() != self._owner:
            raise RuntimeError("the servers belong to the pytest-xdist worker, not to a fork of it")
        with self._lock:
            self._socket.sendall(json.dumps({verb: argument}).encode() + b"\n")
            line = self._lines.readline()
        if not line:
            raise ServerFailed("the controller of pytest-xdist has ended")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise ServerFailed(answer["failed"])
        return answer
