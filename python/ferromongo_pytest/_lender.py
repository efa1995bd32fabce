"""The end of pytest-xdist's controller: it owns the replica set that all workers use.

A thread listens at a Unix socket in a private directory. The set is started when the first worker
asks for it. What workers ask of its members (kill, restart, ...) is passed on to the supervisor.
The set ends with the controller, however that ends. Requests and replies are JSON lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferromongo.embedded import ReplicaSet


class Lender:
    """Listens from its making to `close()`; starts nothing before it is asked."""

    def __init__(self, members: int) -> None:
        self._members = members
        self._lock = threading.Lock()
        self._replica_set: ReplicaSet | None = None
        self._failure: Exception | None = None
        _remove_orphans()
        self._directory = tempfile.mkdtemp(prefix=PREFIX)
        self.address = os.path.join(self._directory, SOCKET)
        self._server = _Server(self.address, _Connection)
        self._server.lender = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="ferromongo-lender", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self._lock:
            if self._replica_set is not None:
                self._replica_set.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def answer(self, request: dict[str, Any]) -> Any:
        from ferromongo.embedded import BinaryNotFound, ServerFailed

        try:
            (verb, argument) = next(iter(request.items()))
            replica_set = self._started()
            if verb == "borrow":
                return {"lent": replica_set.lend()}
            return {"reply": replica_set.ask(verb, argument)}
        except (BinaryNotFound, ServerFailed) as error:
            return {"failed": str(error)}

    def _started(self) -> ReplicaSet:
        from ferromongo.embedded import BinaryNotFound, ReplicaSet, ServerFailed

        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._replica_set is None:
                try:
                    self._replica_set = ReplicaSet(members=self._members).start()
                except (BinaryNotFound, ServerFailed) as error:
                    self._failure = error
                    raise
            return self._replica_set


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False  # a worker that hangs does not hold up the controller
    lender: Lender


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        for line in self.rfile:
            answer = self.server.lender.answer(json.loads(line))
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def _remove_orphans() -> None:
    """Removes the directories of controllers that were killed: no process listens there."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            # A minute: others may be about to listen.
            if entry.name.startswith(PREFIX) and time.time() - entry.stat().st_mtime > 60:
                with socket.socket(socket.AF_UNIX) as probe:
                    try:
                        probe.connect(os.path.join(entry.path, SOCKET))
                    except ConnectionRefusedError:
                        shutil.rmtree(entry.path, ignore_errors=True)
                    except OSError:  # another user's
                        pass


PREFIX = "ferromongo-pytest-"
SOCKET = "socket"
