"""The process between a Python program and the mongods it asked for.

It runs as a script of its own (standard library only), holds the data directory, and ends every
mongod and removes the directory when its parent closes the pipe or dies, however that happens.
When it is killed itself, the next one to start removes what it left.
It knows processes, ports and files; what a replica set is, `replica_set.py` knows.

Requests come as JSON lines on stdin, each answered by one JSON line on stdout:
    {"start": {"0": 27017, "1": 0}}   -> {"0": {"port": 27017, "pid": 7}, ...}; port 0: any free one
    {"kill": "0"}, {"stop": "0"}      -> {}  once the process is gone (SIGKILL, SIGTERM)
    {"alive": null}                   -> {"0": true, ...}
A request that fails is answered {"error": "..."}. In the command, {directory} stands for the data
directory, where the parent may leave files before it starts a server.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import random
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from typing import Any


def main() -> None:
    settings = json.loads(sys.argv[1])
    # The parent's terminal sends Ctrl-C to this process group's members too; only the pipe counts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(0))
    parent = Parent(settings["parent"])
    remove_orphans(settings["directory"] or tempfile.gettempdir())
    directory = tempfile.mkdtemp(prefix=PREFIX, dir=settings["directory"])
    lock = locked(directory)
    command = [part.replace(DIRECTORY, directory) for part in settings["command"]]
    servers = Servers(command, directory, lock, settings["timeout"], parent)
    try:
        parent.answer({"directory": directory})
        while request := parent.request():
            parent.answer(servers.handle(*next(iter(request.items()))))
    except ParentGone:
        pass
    finally:
        # A second signal must not leave the job half done.
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, signal.SIG_IGN)
        servers.end()
        shutil.rmtree(directory, ignore_errors=True)


class ParentGone(Exception):
    """The other end of the pipe closed, or its process ended."""


class Parent:
    """The two pipes to the parent, and a watch on its life.

    The pipe alone would not do: a fork of the parent keeps its end open after the parent's death.
    """

    def __init__(self, pid: int) -> None:
        self._buffer = b""
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)
        self._pidfd = -1
        if hasattr(os, "pidfd_open"):
            try:
                self._pidfd = os.pidfd_open(pid)
                self._poll.register(self._pidfd, select.POLLIN)
            except OSError:  # an old kernel: the pipe still tells
                pass
        if os.getppid() != pid:
            sys.exit(0)

    def request(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self.check(None)
            data = os.read(0, 65536)
            if not data:
                raise ParentGone
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        request: dict[str, Any] = json.loads(line)
        return request

    def check(self, milliseconds: float | None) -> None:
        """Wait that long, or until the parent says something; raises ParentGone."""
        for fd, event in self._poll.poll(milliseconds):
            if fd == self._pidfd or event & (select.POLLHUP | select.POLLERR) == event:
                raise ParentGone

    def answer(self, reply: dict[str, Any]) -> None:
        try:
            os.write(1, json.dumps(reply).encode() + b"\n")
        except BrokenPipeError:
            raise ParentGone from None


class Servers:
    """The mongods, by name."""

    def __init__(
        self, command: list[str], directory: str, lock: int, timeout: float, parent: Parent
    ) -> None:
        self._command = command
        self._directory = directory
        self._lock = lock
        self._timeout = timeout
        self._parent = parent
        self._running: dict[str, Server] = {}

    def handle(self, verb: str, argument: Any) -> dict[str, Any]:
        try:
            if verb == "start":
                return self._start(argument)
            if verb == "alive":
                return {name: server.code() is None for name, server in self._running.items()}
            server = self._running[argument]
            return server.kill() if verb == "kill" else server.stop()
        except StartFailed as error:
            return {"error": str(error)}

    def end(self) -> None:
        for server in self._running.values():
            server.process.kill()
        for server in self._running.values():
            server.process.wait()

    def _start(self, ports: dict[str, int]) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        for name, port in ports.items():
            self._spawn(name, port or free_port())
        waiting = dict(ports)
        while waiting:
            for name, asked in list(waiting.items()):
                server = self._running[name]
                code = server.code()
                if code is None and server.listens():
                    del waiting[name]
                elif code == PORT_IN_USE and not asked:
                    self._spawn(name, free_port())  # another process was faster
                elif code is not None:
                    why = f" (port {asked} is in use)" if code == PORT_IN_USE else ""
                    raise StartFailed(f"mongod ended with code {code}{why}:\n{server.log_tail()}")
                elif time.monotonic() > deadline:
                    raise StartFailed(
                        f"mongod was not ready after {self._timeout} s:\n{server.log_tail()}"
                    )
            if waiting:
                self._parent.check(10)
        return {
            name: {"port": self._running[name].port, "pid": self._running[name].process.pid}
            for name in ports
        }

    def _spawn(self, name: str, port: int) -> None:
        data = os.path.join(self._directory, f"member-{name}")
        os.makedirs(data, exist_ok=True)
        command = [*self._command, "--dbpath", data]
        self._running[name] = Server(command, port, data + ".log", self._lock)


class StartFailed(Exception):
    """With the end of the server's log."""


class Server:
    """One mongod process."""

    def __init__(self, command: list[str], port: int, log: str, lock: int) -> None:
        self.port = port
        self._log = log
        with open(log, "ab") as output:
            self._log_start = output.tell()
            self.process = subprocess.Popen(
                [*command, "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=_die_with_supervisor,
                pass_fds=[lock],
            )

    def code(self) -> int | None:
        return self.process.poll()

    def listens(self) -> bool:
        # Its own log is asked, not the port: somebody else's server may answer there.
        return WAITING_FOR_CONNECTIONS in self._log_text()

    def kill(self) -> dict[str, Any]:
        self.process.kill()
        self.process.wait()
        return {}

    def stop(self) -> dict[str, Any]:
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
        return {}

    def log_tail(self) -> str:
        return b"\n".join(self._log_text().splitlines()[-15:]).decode(errors="replace")

    def _log_text(self) -> bytes:
        with open(self._log, "rb") as log:
            log.seek(self._log_start)
            return log.read()


def locked(directory: str) -> int:
    """Marks the directory as in use while this process or one of its mongods has it open."""
    making, made = os.path.join(directory, LOCK + "-new"), os.path.join(directory, LOCK)
    lock = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(making, made)  # visible only once it is locked
    return lock


def remove_orphans(parent: str) -> None:
    """Removes this user's directories whose supervisor was killed, and its mongods with it."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    _remove_if_orphaned(entry)


def _remove_if_orphaned(entry: "os.DirEntry[str]") -> None:
    about = entry.stat(follow_symlinks=False)
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
        return
    lock = os.open(os.path.join(entry.path, LOCK), os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while it is in use
        shutil.rmtree(entry.path, ignore_errors=True)
    finally:
        os.close(lock)


def free_port() -> int:
    """A port nobody listens on, below the range the kernel gives to outgoing connections.

    In that range, a client that tries to reach a killed member could be given the member's very
    port for its own end: it would talk to itself, and the member could not come back.
    """
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as limits:
            end = int(limits.read().split()[0])
    except OSError:
        end = 32768
    end = max(end, 11000)
    while True:
        port = random.randrange(max(10000, end - 12000), end)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _die_with_supervisor() -> None:
    # Between fork and exec: a supervisor that is itself killed takes its servers along (Linux).
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


DIRECTORY = "{directory}"  # in an argument: where the data is
PREFIX = "ferromongo-"  # of data directories
LOCK = "supervisor.lock"
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1
PORT_IN_USE = 48  # mongod's exit code
WAITING_FOR_CONNECTIONS = b'"id":23016'  # the log line's number, the same in every version
STOP_TIMEOUT = 20

if __name__ == "__main__":
    main()
