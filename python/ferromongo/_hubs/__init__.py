"""Blocking calls on gevent and eventlet: what a call waits for is handed to the hub of its thread.

The engine asks `look` at the first call, and again whenever `socket.socket` has become another
class. Neither library is imported before the program has done so. Its module here has a function
`here`: the `Waits` of the calling thread, or None where a call has to block as usual. That is a
thread without a hub (no greenlet waits in it), and the hub's own greenlet, which cannot wait.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol


class Bell(Protocol):
    """How other threads wake the calls of a thread. Made by the engine."""

    def fileno(self) -> int: ...

    def woken(self) -> list[int]:
        """The numbers of the calls that were woken. Silences the bell."""


class Waits(Protocol):
    """How calls wait on one hub."""

    def wait(
        self,
        sockets: list[tuple[int, bool]],
        seconds: float | None,
        bell: Bell | None,
        number: int,
    ) -> None:
        """Let other greenlets run until the call `number` may be able to go on.

        `sockets`: file descriptors, and whether the call writes (or else reads). `bell`: None if
        no other thread wakes it. What is raised into the greenlet meanwhile is raised here.
        """


def look() -> Callable[[], Waits | None] | None:
    """None unless the sockets of this process are gevent's or eventlet's."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        from ferromongo._hubs import of_gevent

        return of_gevent.here
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        from ferromongo._hubs import of_eventlet

        return of_eventlet.here
    return None
