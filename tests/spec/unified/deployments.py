"""The servers that tests run on: the replica set of the session, and what else a file may want."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.spec.unified.requirements import Deployment

from ferromongo.embedded import ReplicaSet
from ferromongo.embedded.binary import find_mongod
from ferromongo.embedded.replica_set import FLAGS, PARAMETERS
from ferromongo.embedded.supervised import Supervised


class Deployments:
    """`others` are started when the first test comes that the first deployment is not meant for."""

    def __init__(self, uri: str, others: bool) -> None:
        self._running = [Deployment(uri)]
        self._startable = [authenticating, standalone] if others else []
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> "Deployments":
        return self

    def __exit__(self, *error: object) -> None:
        for deployment in self._running:
            deployment.close()
        self._ends.close()

    def meeting(self, *requirements: list[dict[str, Any]]) -> Deployment | str:
        """One that meets one requirement of each list, or what they lack: rather what none has."""
        lacking = []
        for index in range(len(self._running) + len(self._startable)):
            if index == len(self._running):
                self._running.append(Deployment(self._start(self._startable.pop(0))))
            reason = self._running[index].why_not(*requirements)
            if reason is None:
                return self._running[index]
            lacking.append(reason)
        return min(lacking, key=lambda reason: reason.startswith(WHERE))

    def _start(self, make: Callable[[], contextlib.AbstractContextManager[str]]) -> str:
        return self._ends.enter_context(make())


WHERE = ("needs topologies", "needs auth")


@contextlib.contextmanager
def authenticating() -> Iterator[str]:
    with ReplicaSet(members=1, auth=("root", "password")) as replica_set:
        yield replica_set.uri


@contextlib.contextmanager
def standalone() -> Iterator[str]:
    command = [str(find_mongod()), *FLAGS]
    for name, value in PARAMETERS.items():
        command += ["--setParameter", f"{name}={str(value).lower()}"]
    with contextlib.closing(Supervised(command, None, timeout=60)) as servers:
        yield f"mongodb://127.0.0.1:{servers.ask('start', {'0': 0})['0']['port']}/"
