"""Waiting on gevent's hub, with watchers of its event loop (libev or libuv)."""

from __future__ import annotations

import os
import threading
from typing import Any

from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter, get_hub
from greenlet import getcurrent

from ferromongo._hubs import Bell

_READ, _WRITE = 1, 2
_NAME = "_ferromongo_waits"


class Waits:
    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._watchers: dict[Waiter, list[Any]] = {}
        self._woken_by_bell: dict[int, Waiter] = {}
        self._bell: Any = None

    def wait(
        self,
        sockets: list[tuple[int, bool]],
        seconds: float | None,
        bell: Bell | None,
        number: int,
    ) -> None:
        loop = self._hub.loop
        waiter = Waiter(self._hub)
        watchers: list[Any] = []
        self._watchers[waiter] = watchers
        try:
            for descriptor, writes in sockets:
                watchers.append(loop.io(descriptor, _WRITE if writes else _READ))
                watchers[-1].start(waiter.switch, None)
            if seconds is not None:
                watchers.append(loop.timer(seconds))
                watchers[-1].start(waiter.switch, None)
            if bell is not None:
                self._listen(bell)
                self._woken_by_bell[number] = waiter
            waiter.get()
        finally:
            del self._watchers[waiter]
            _close(watchers)
            if self._woken_by_bell.pop(number, None) is not None and not self._woken_by_bell:
                self._silence()

    def _listen(self, bell: Bell) -> None:
        # Watched only while a call waits for it, for a watcher keeps the loop running.
        if self._bell is None:
            self._bell = self._hub.loop.io(bell.fileno(), _READ)
            self._bell.start(self._ring, bell)

    def _silence(self) -> None:
        bell, self._bell = self._bell, None
        if bell is not None:
            _close([bell])

    def _ring(self, bell: Bell) -> None:
        for number in bell.woken():
            waiter = self._woken_by_bell.get(number)
            if waiter is not None:
                waiter.switch(None)

    def leave_to_the_parent(self) -> None:
        """In a forked child, where the sockets are the parent's: the calls raise AutoReconnect."""
        self._silence()
        for waiter, watchers in self._watchers.items():
            _close(watchers)
            watchers.clear()
            self._hub.loop.run_callback(waiter.switch, None)


def here() -> Waits | None:
    hub = get_hub_if_exists()
    if hub is None:
        # Of the main thread it is made at the first wait, as by every patched function.
        if threading.get_native_id() != os.getpid():
            return None
        hub = get_hub()
    if hub is getcurrent():
        return None
    waits: Waits | None = hub.__dict__.get(_NAME)
    if waits is None:
        waits = Waits(hub)
        setattr(hub, _NAME, waits)
    return waits


def _close(watchers: list[Any]) -> None:
    for watcher in watchers:
        watcher.stop()
        watcher.close()


def _after_fork() -> None:
    hub = get_hub_if_exists()
    waits: Waits | None = None if hub is None else hub.__dict__.get(_NAME)
    if waits is not None:
        waits.leave_to_the_parent()


os.register_at_fork(after_in_child=_after_fork)
