"""A fail point of the server (`configureFailPoint`), on for the length of a `with` block.

It knows modes, data and counting; on which members it is set, `replica_set.py` decides.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

if TYPE_CHECKING:
    from ferromongo.embedded.replica_set import Member


class FailCommand(TypedDict, total=False):
    """The data of the fail point "failCommand", in the server's words."""

    failCommands: Sequence[str]
    """The names of the commands it hits."""
    errorCode: int
    errorLabels: Sequence[str]
    """Instead of the labels that the server would give the error."""
    writeConcernError: Mapping[str, Any]
    """The command runs, and its reply carries this."""
    closeConnection: bool
    blockConnection: bool
    blockTimeMS: int
    appName: str
    """Hits only clients with this name."""
    namespace: str
    failInternalCommands: bool
    """Hits the members' own commands too."""


class FailPoint:
    """One fail point on some members; `ReplicaSet.failpoint` makes it."""

    def __init__(
        self,
        name: str,
        members: Sequence["Member"],
        mode: Mapping[str, Any],
        runs: Callable[["Member"], bool],
    ) -> None:
        self.name = name
        self.members = list(members)
        """Where it is set: another primary since then changes nothing."""
        self._mode = mode
        self._runs = runs
        self._places: list[_Place] = []

    @property
    def hits(self) -> int:
        """How often it has acted on all its members; it keeps its value after the block.

        Of a member that has died, what it had told before counts.
        """
        for place in self._places:
            if place.on and self._runs(place.member):
                try:
                    place.read(self.name)
                except ConnectionFailure:
                    if self._runs(place.member):
                        raise
        return sum(place.hits for place in self._places)

    def wait(self, hits: int = 1, timeout: float = 10) -> None:
        """Returns when it has acted that often; raises TimeoutError. It blocks: from a
        coroutine call it by `asyncio.to_thread`."""
        deadline = time.monotonic() + timeout
        while (seen := self.hits) < hits:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} has acted {seen} times, not {hits}")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self._places = []
        try:
            for member in self.members:
                self._places.append(place := _Place(member))
                place.turn_on(self.name, self._mode)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        problems = []
        for place in self._places:
            try:
                self._turn_off(place)
            except Exception as error:  # the other members come first
                problems.append(error)
            finally:
                place.client.close()
        if problems:
            raise problems[0]

    def _turn_off(self, place: "_Place") -> None:
        deadline = time.monotonic() + TURN_OFF_TIMEOUT
        # A member that has died or was restarted has lost its fail points.
        while place.on and self._runs(place.member):
            try:
                place.turn_off(self.name)
            except ConnectionFailure:
                if time.monotonic() > deadline:
                    raise


class _Place:
    """A member and a connection to it.

    The connection stays open for the whole block, and its client does not look after the server
    meanwhile: a fail point that hits "hello" or "saslStart" would keep a new client out.
    """

    def __init__(self, member: "Member") -> None:
        self.member = member
        self.hits = 0
        self.on = False
        self._before = 0
        self.client = MongoClient[dict[str, Any]](
            member.uri,
            serverSelectionTimeoutMS=5000,
            socketTimeoutMS=20000,
            serverMonitoringMode="poll",
            heartbeatFrequencyMS=HOUR,
        )

    def turn_on(self, name: str, mode: Mapping[str, Any]) -> None:
        # A command that must wait for the first look at the server orders a second one, for later.
        deadline = time.monotonic() + 5
        while not self.client.topology_description.known_servers and time.monotonic() < deadline:
            time.sleep(0.001)
        self.on = True  # perhaps, if no answer comes
        try:
            reply = self.client.admin.command({"configureFailPoint": name, **mode})
        except OperationFailure:
            self.on = False
            raise
        self._before = reply["count"]

    def turn_off(self, name: str) -> None:
        reply = self.client.admin.command({"configureFailPoint": name, "mode": "off"})
        self._count(reply["count"])
        self.on = False

    def read(self, name: str) -> None:
        key = f"failpoint.{name}"
        self._count(self.client.admin.command({"getParameter": 1, key: 1})[key]["timesEntered"])

    def _count(self, times_entered: int) -> None:
        # The server counts from its start.
        self.hits = times_entered - self._before


def fail_point_mode(
    times: int | None, skip: int | None, probability: float | None
) -> str | dict[str, float]:
    given: dict[str, float | None] = {
        "times": times,
        "skip": skip,
        "activationProbability": probability,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) > 1:
        raise ValueError("a fail point has one of times, skip and probability")
    return chosen or "alwaysOn"


HOUR = 3_600_000
TURN_OFF_TIMEOUT = 20
