"""Waiting on eventlet's hub, with its listeners and timers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from eventlet import hubs
from greenlet import getcurrent

from ferromongo._hubs import Bell

_NAME = "_ferromongo_waits"


class Waits:
    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._under_way: set[_Wait] = set()
        self._woken_by_bell: dict[int, _Wait] = {}
        self._bell: Any = None

    def wait(
        self,
        sockets: list[tuple[int, bool]],
        seconds: float | None,
        bell: Bell | None,
        number: int,
    ) -> None:
        wait = _Wait(self._hub)
        self._under_way.add(wait)
        try:
            for descriptor, writes in sockets:
                wait.listen(descriptor, writes)
            if seconds is not None:
                wait.sleep(seconds)
            if bell is not None:
                self._listen(bell)
                self._woken_by_bell[number] = wait
            self._hub.switch()
        finally:
            self._under_way.discard(wait)
            wait.end()
            if self._woken_by_bell.pop(number, None) is not None and not self._woken_by_bell:
                self._silence()

    def _listen(self, bell: Bell) -> None:
        if self._bell is None:

            def ring(*_: object) -> None:
                for number in bell.woken():
                    wait = self._woken_by_bell.get(number)
                    if wait is not None:
                        wait.wake()

            self._bell = _add(self._hub, bell.fileno(), False, ring)

    def _silence(self) -> None:
        bell, self._bell = self._bell, None
        if bell is not None:
            self._hub.remove(bell)

    def leave_to_the_parent(self) -> None:
        """In a forked child, where the sockets are the parent's: the calls raise AutoReconnect."""
        self._silence()
        for wait in self._under_way:
            wait.forget_sockets()
            wait.sleep(0)


class _Wait:
    """One greenlet's."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._greenlet: Any = getcurrent()
        self._listeners: list[Any] = []
        self._timers: list[Any] = []

    def listen(self, descriptor: int, writes: bool) -> None:
        self._listeners.append(_add(self._hub, descriptor, writes, self.wake))

    def sleep(self, seconds: float) -> None:
        self._timers.append(self._hub.schedule_call_global(seconds, self.wake))

    def wake(self, *_: object) -> None:
        # The hub may call it after its end, for what happened at the same time.
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.switch()

    def end(self) -> None:
        self._greenlet = None
        self.forget_sockets()
        for timer in self._timers:
            timer.cancel()

    def forget_sockets(self) -> None:
        while self._listeners:
            self._hub.remove(self._listeners.pop())


def _add(hub: Any, descriptor: int, writes: bool, wake: Callable[..., None]) -> Any:
    kind = hub.WRITE if writes else hub.READ
    if descriptor in hub.listeners[kind]:
        # Left by a file that had this number before: eventlet does not know the engine's sockets.
        hub.mark_as_reopened(descriptor)
    return hub.add(kind, descriptor, wake, wake, None)


def here() -> Waits | None:
    hub: Any = getattr(hubs._threadlocal, "hub", None)
    if hub is None:
        # Of the main thread it is made at the first wait, as by every patched function.
        if threading.get_native_id() != os.getpid():
            return None
        hub = hubs.get_hub()
    if hub.greenlet is getcurrent():
        return None
    waits: Waits | None = hub.__dict__.get(_NAME)
    if waits is None:
        waits = Waits(hub)
        setattr(hub, _NAME, waits)
    return waits


def _after_fork() -> None:
    hub = getattr(hubs._threadlocal, "hub", None)
    waits: Waits | None = None if hub is None else hub.__dict__.get(_NAME)
    if waits is not None:
        waits.leave_to_the_parent()


os.register_at_fork(after_in_child=_after_fork)
