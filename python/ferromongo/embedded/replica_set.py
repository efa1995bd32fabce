"""A replica set of real mongods on this machine, with ways to hurt it and to make it well again."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from ferromongo.embedded.binary import find_mongod
from ferromongo.embedded.certificates import Certificates, certificates_in, make_certificates
from ferromongo.embedded.fail_point import FailCommand, FailPoint, fail_point_mode
from ferromongo.embedded.supervised import ServerFailed, Servers, Supervised

T = TypeVar("T")


@dataclass(frozen=True)
class Member:
    """One mongod of the set; a restarted member has another `pid` but the same index and port."""

    index: int
    port: int
    pid: int
    host: str = "127.0.0.1"
    auth: tuple[str, str] | None = field(default=None, repr=False)
    """User name and password of the set, if it wants any."""
    options: str = ""
    """What a client must say in its URI, `&` in front."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def uri(self) -> str:
        """For a connection to this member alone."""
        address = f"{_user_information(self.auth)}{self.address}"
        return f"mongodb://{address}/?directConnection=true{self.options}"


class ReplicaSet:
    """`members` mongods as one replica set; the servers and their data end with the `with` block.

    The set is complete when `start()` (or the `with` statement) returns: member 0 is the primary
    and the others are secondaries that replicate. Elections take about two seconds. `parameters`
    are server parameters (`--setParameter`); fail points are enabled. With `port`, the members
    listen there and on the ports after it; else on free ones. `directory` holds the data for the
    time being (the system's directory for temporary files when None). A set that is not closed
    ends with its process, even when that is killed.

    With `auth=True` clients must authenticate: the set has one user, `root` with a password made
    for the occasion, and `uri` (and the members' `uri`) carry both. `auth=("user", "password")`
    names them. More users are made with `createUser`, as on any server.

    With `tls` the members accept nothing but TLS, with certificates made for the occasion; `uri`
    says so and names their authority. `tls="mutual"` asks clients for a certificate too, and the
    `uri` names one.
    """

    def __init__(
        self,
        members: int = 1,
        *,
        port: int | None = None,
        directory: str | Path | None = None,
        mongod: str | Path | None = None,
        parameters: Mapping[str, Any] | None = None,
        tls: bool | Literal["mutual"] = False,
        timeout: float = 60,
        auth: bool | tuple[str, str] = False,
    ) -> None:
        if members < 1:
            raise ValueError("a replica set has at least one member")
        # A name of its own: a client of a set that is gone must not mistake this one for it.
        self.name = f"ferromongo-{secrets.token_hex(3)}"
        self._ports = [port + n if port else 0 for n in range(members)]
        self._directory = str(directory) if directory is not None else None
        self._mongod = mongod
        self._parameters = {**PARAMETERS, **(parameters or {})}
        self._tls = tls
        self._timeout = timeout
        self.auth: tuple[str, str] | None
        """The user and password in `uri`; None where nobody authenticates."""
        if auth is True:
            self.auth = ("root", secrets.token_urlsafe(16))
        else:
            self.auth = auth or None
        self._supervised: Servers | None = None
        self._members: list[Member] = []

    def start(self) -> Self:
        if self._supervised is not None:
            raise RuntimeError("the replica set has been started already")
        self._supervised = Supervised(self._command(), self._directory, self._timeout)
        try:
            if self.auth is not None:
                self._write_key()
            if self._tls:
                make_certificates(self.directory)
            self._start(dict(enumerate(self._ports)))
            self._initiate()
            self.recover()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Ends all members and removes their data. May be called twice."""
        if self._supervised is not None:
            self._supervised.close()

    def lend(self) -> dict[str, Any]:
        """What `borrowed` needs in another process, as JSON: with it goes a way to `ask`."""
        return {
            "name": self.name,
            "auth": self.auth,
            "tls": self._tls,
            "timeout": self._timeout,
            "directory": str(self.directory),
            "members": [[m.index, m.port, m.pid] for m in self._members],
        }

    @classmethod
    def borrowed(cls, lent: Mapping[str, Any], servers: Servers) -> Self:
        """A set that another process has started and will end; `servers` passes on to its `ask`."""
        auth = lent["auth"]
        borrowed = cls(
            len(lent["members"]),
            tls=lent["tls"],
            timeout=lent["timeout"],
            auth=tuple(auth) if auth else False,
        )
        borrowed.name = lent["name"]
        borrowed._supervised = servers
        borrowed._members = [
            Member(index, port, pid, auth=borrowed.auth, options=borrowed._options)
            for index, port, pid in lent["members"]
        ]
        return borrowed

    def ask(self, verb: str, argument: Any = None) -> dict[str, Any]:
        """The supervisor's answer to one of its requests (see `supervisor.py`)."""
        return self._servers.ask(verb, argument)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def members(self) -> list[Member]:
        return list(self._members)

    @property
    def uri(self) -> str:
        hosts = ",".join(member.address for member in self._members)
        address = f"{_user_information(self.auth)}{hosts}"
        return f"mongodb://{address}/?replicaSet={self.name}{self._options}"

    @property
    def certificates(self) -> Certificates:
        """The files made for `tls`."""
        if not self._tls:
            raise RuntimeError("the replica set speaks no TLS")
        return certificates_in(self.directory)

    @property
    def ca_file(self) -> Path:
        """The authority that signed the members' certificates (with `tls`)."""
        return self.certificates.ca_file

    @property
    def client_certificate_file(self) -> Path:
        """A client's certificate and private key (with `tls`)."""
        return self.certificates.client_file

    @property
    def directory(self) -> Path:
        """Holds `member-N` (data) and `member-N.log` of every member while the set runs."""
        return self._servers.directory

    @property
    def primary(self) -> Member:
        """The member that takes writes now; waits for an election that is under way."""

        def find() -> Member | None:
            return next((m for m in self._alive() if _says(m, "isWritablePrimary")), None)

        return self._wait_for("a primary", find)

    @property
    def secondaries(self) -> list[Member]:
        return [member for member in self._alive() if _says(member, "secondary")]

    def kill(self, member: Member | int) -> None:
        """SIGKILL: the member is gone at once, without a word to the others."""
        self._servers.ask("kill", str(_index(member)))

    def stop(self, member: Member | int) -> None:
        """SIGTERM: the member steps down, closes its data and ends."""
        self._servers.ask("stop", str(_index(member)))

    def restart(self, member: Member | int) -> Member:
        """Starts a killed or stopped member on its old port and data; it rejoins by itself.

        A member that runs is stopped first. `recover` waits until it has rejoined.
        """
        index = _index(member)
        if self._servers.ask("alive")[str(index)]:
            self.stop(index)
        self._start({index: self._members[index].port})
        return self._members[index]

    def recover(self) -> None:
        """Restarts what is down; returns when there are a primary and only secondaries beside."""
        alive = self._servers.ask("alive")
        self._start({m.index: m.port for m in self._members if not alive[str(m.index)]})

        def complete() -> bool:
            with _client(self.primary) as client:
                # Replicated by all first: a member that rejoins calls itself a secondary for a
                # moment even when it must roll back what only it had.
                note = {"appendOplogNote": 1, "data": {"ferromongo": "complete"}}
                concern = {"w": len(self._members), "wtimeout": 5000}
                reply = client.admin.command({**note, "writeConcern": concern})
                if "writeConcernError" in reply:
                    return False
                status = client.admin.command("replSetGetStatus")
                states = sorted(member["stateStr"] for member in status["members"])
                return states == ["PRIMARY"] + ["SECONDARY"] * (len(self._members) - 1)

        self._wait_for("a complete replica set", complete)

    def step_down(self) -> Member:
        """The primary hands over to a secondary; returns the new primary.

        The only member of a set of one is elected again at once.
        """
        old = self.primary
        with _client(old) as client:
            alone = len(self._members) == 1
            patience = 0 if alone else 10
            client.admin.command(
                {"replSetStepDown": 60, "secondaryCatchUpPeriodSecs": patience, "force": alone}
            )
            if not alone:
                self._wait_for("another primary", lambda: self.primary.index != old.index)
            # Lifts the 60 seconds in which the old primary would refuse to be elected.
            client.admin.command("replSetFreeze", 0)
        return self.primary

    def failpoint(
        self,
        name: str = "failCommand",
        *,
        on: Member | int | Literal["primary", "all"] = "primary",
        times: int | None = None,
        skip: int | None = None,
        probability: float | None = None,
        block: float | None = None,
        data: Mapping[str, Any] | None = None,
        **fail_command: Unpack[FailCommand],
    ) -> FailPoint:
        """A context manager: the fail point is on in its block, and off behind it.

            with replica_set.failpoint(failCommands=["insert"], errorCode=91, times=1) as fault:
                collection.insert_one({})  # is retried
            assert fault.hits == 1

        It acts always, or `times` times, or after it let `skip` occasions pass, or with that
        `probability`. Its data are keywords in the server's words, or `data` for fail points
        other than "failCommand". `block` holds a command for that many seconds. `on="primary"` is
        the member that is primary when the call is made. A server has one fail point of a name:
        the later one replaces the earlier. Raises ValueError for more than one of `times`, `skip`
        and `probability`; entering the block raises OperationFailure for what the server refuses.
        """
        if on == "all":
            members = self._alive()
        elif on == "primary":
            members = [self.primary]
        else:
            members = [self._members[_index(on)]]
        fields: dict[str, Any] = {**(data or {}), **fail_command}
        if block is not None:
            fields["blockTimeMS"] = round(block * 1000)
        if "blockTimeMS" in fields:
            fields.setdefault("blockConnection", True)
        mode: dict[str, Any] = {"mode": fail_point_mode(times, skip, probability)}
        if fields:
            mode["data"] = fields
        return FailPoint(name, members, mode, lambda member: member in self._alive())

    def _command(self) -> list[str]:
        command = [str(self._mongod or find_mongod()), "--replSet", self.name, *FLAGS]
        for name, value in self._parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ["--setParameter", f"{name}={text}"]
        if len(self._ports) == 1:
            # Without other members, dropping a database waits for the next flush of the journal
            # (every 100 ms by default), and each test of a pytest session drops one.
            command += ["--journalCommitInterval", "20"]
        if self.auth is not None:
            # Members that share a key want authentication of everybody.
            command += ["--keyFile", f"{DIRECTORY}/{KEY}"]
        if self._tls:
            files = certificates_in(DIRECTORY)
            command += ["--tlsMode", "requireTLS", "--tlsCAFile", str(files.ca_file)]
            command += ["--tlsCertificateKeyFile", str(files.server_file)]
            if self._tls != "mutual":
                command.append("--tlsAllowConnectionsWithoutCertificates")
        return command

    def _write_key(self) -> None:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, mode=0o600)  # mongod refuses a key that others may read

        with open(self.directory / KEY, "x", opener=private) as key:
            key.write(secrets.token_hex(128))

    @property
    def _options(self) -> str:
        """For URIs."""
        if not self._tls:
            return ""
        options = f"&tls=true&tlsCAFile={quote(str(self.ca_file), safe='')}"
        if self._tls == "mutual":
            file = quote(str(self.client_certificate_file), safe="")
            options += f"&tlsCertificateKeyFile={file}"
        return options

    @property
    def _servers(self) -> Servers:
        if self._supervised is None:
            raise RuntimeError("the replica set has not been started")
        return self._supervised

    def _start(self, ports: Mapping[int, int]) -> None:
        if not ports:
            return
        started = self._servers.ask("start", {str(index): port for index, port in ports.items()})
        members = {member.index: member for member in self._members}
        for index, server in started.items():
            members[int(index)] = Member(
                int(index), server["port"], server["pid"], auth=self.auth, options=self._options
            )
        self._members = [members[index] for index in sorted(members)]

    def _initiate(self) -> None:
        config = {
            "_id": self.name,
            "members": [{"_id": m.index, "host": m.address} for m in self._members],
            "settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500},
        }
        # While nobody is known, a server lets the first user be made from its own machine.
        first = replace(self._members[0], auth=None)
        with _client(first) as client:
            client.admin.command("replSetInitiate", config)

            def elected() -> bool:
                # Asked to stand for election, member 0 need not wait for the election timeout,
                # and with equal priorities no later primary is voted out in its favour.
                with contextlib.suppress(OperationFailure):
                    client.admin.command("replSetStepUp")
                return bool(client.admin.command("hello")["isWritablePrimary"])

            self._wait_for("the first election", elected)
            if self.auth is not None:
                user, password = self.auth
                client.admin.command("createUser", user, pwd=password, roles=["root"])

    def _alive(self) -> list[Member]:
        alive = self._servers.ask("alive")
        return [member for member in self._members if alive[str(member.index)]]

    def _wait_for(self, what: str, attempt: Callable[[], T | None]) -> T:
        """Asks until the answer is true; a server's refusal means "not yet"."""
        deadline = time.monotonic() + self._timeout
        while True:
            problem: Exception | None = None
            try:
                if answer := attempt():
                    return answer
            except PyMongoError as error:
                problem = error
            if time.monotonic() > deadline:
                raise ServerFailed(f"no {what} after {self._timeout} s") from problem
            time.sleep(0.03)


def _user_information(auth: tuple[str, str] | None) -> str:
    """As it stands in a URI, the @ behind it."""
    return "" if auth is None else ":".join(quote(part, safe="") for part in auth) + "@"


def _index(member: Member | int) -> int:
    return member if isinstance(member, int) else member.index


def _says(member: Member, role: str) -> bool:
    try:
        with _client(member) as client:
            return bool(client.admin.command("hello").get(role))
    except PyMongoError:
        return False


@contextlib.contextmanager
def _client(member: Member) -> Iterator[MongoClient[dict[str, Any]]]:
    # Short-lived: between calls a replica set keeps no thread and no socket in the user's process.
    with MongoClient[dict[str, Any]](
        member.uri, serverSelectionTimeoutMS=5000, socketTimeoutMS=20000, retryWrites=False
    ) as client:
        yield client


KEY = "members.key"
DIRECTORY = "{directory}"  # the supervisor puts its own there
FLAGS = (
    "--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet",
    "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "128",
)  # fmt: skip

PARAMETERS = {
    "enableTestCommands": 1,
    "diagnosticDataCollectionEnabled": False,
    # A stopped primary would otherwise wait 15 seconds for its clients to leave.
    "shutdownTimeoutMillisForSignaledShutdown": 100,
}
