"""Events on their way to the user's listeners and logs: in order, one at a time for each client.

The engine notes what happens in a queue of the client, from any thread. The thread of an operation
delivers what came of it, before its result is handed over; what happens in the background is left
to one dispatcher thread, which lives while there is a client whose events
somebody wants.
"""

from __future__ import annotations

import atexit
import os
import threading
import traceback
import weakref
from typing import Any

from pymongo.client_options import ClientOptions

from ferromongo._calls.logs import Logs, note_levels
from ferromongo._core import (
    EventQueue,
    stop_waiting_for_events,
    wait_for_events,
    wake_dispatcher,
)


class Publisher:
    """The listeners and logs of one client, and the queue that they are served from."""

    def __init__(self, options: ClientOptions) -> None:
        listeners: Any = options.pool_options._event_listeners
        self._listeners = listeners
        self.has_listeners = bool(listeners.event_listeners())
        wanted = (
            listeners.enabled_for_commands,
            listeners.enabled_for_cmap,
            listeners.enabled_for_server,
            listeners.enabled_for_server_heartbeat,
            listeners.enabled_for_topology,
        )
        replies = options.codec_options.with_options(unicode_decode_error_handler="replace")
        commands = replies.with_options(document_class=dict)
        threshold = options.local_threshold_ms / 1000
        pool_options = options.pool_options.non_default_options
        self.queue = EventQueue(wanted, pool_options, commands, replies, threshold)
        self._logs = Logs(self.queue.client_id)
        self._closed = False
        _publishers[self.queue.number] = self
        look_at_loggers()

    def deliver(self, upto: int | None = None) -> None:
        """Call the listeners, and log, until all is told, or while others do not do so already."""
        while True:
            try:
                event = self.queue.take(upto)
            except Exception:  # a document that the user's own codecs refuse
                traceback.print_exc()
                continue
            if event is None:
                break
            name, arguments, logged = event
            try:
                if logged is not None:
                    self._log(name, arguments, logged)
                # An exception of a listener ends here: PyMongo's method prints it.
                listen = getattr(self._listeners, name, None) if self.has_listeners else None
                if listen is not None:  # some things are only logged
                    listen(*arguments)
            finally:
                self.queue.done()
        if self._closed:
            wake_dispatcher()

    def _log(self, name: str, arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
        try:
            getattr(self._logs, name)(*arguments, **more)
        except Exception:  # of a handler or filter: it shall not look like one of the operation
            traceback.print_exc()

    def close(self) -> None:
        """Nothing more will happen: when all is told the dispatcher is not needed."""
        self._closed = True
        wake_dispatcher()

    @property
    def finished(self) -> bool:
        return self._closed and self.queue.is_empty()


def deliver(number: int, upto: int) -> bool:
    """Called by an operation's thread for its events; False if nobody is left to hear them."""
    known = _publishers.get(number)
    if known is not None:
        known.deliver(upto)
    return known is not None


def look_at_loggers() -> None:
    """Called when a client is made, and by the first operation after a logger's level changed."""
    global _logging
    _logging = note_levels()
    if _somebody_hears():
        start_dispatcher()


def _known() -> list[Publisher]:
    # Unlike values() this is one step: other threads make clients meanwhile.
    found = [reference() for reference in _publishers.valuerefs()]
    return [one for one in found if one is not None]


def _somebody_hears() -> bool:
    known = _known()
    return bool(known) and (_logging or any(one.has_listeners for one in known))


def start_dispatcher() -> None:
    """Have a dispatcher, unless one runs."""
    global _dispatcher
    with _starting:
        if _dispatcher is None:
            _dispatcher = threading.Thread(target=_dispatch, name="ferromongo events", daemon=True)
            _dispatcher.start()


def _dispatch() -> None:
    global _dispatcher
    try:
        while wait_for_events():
            _deliver_all()
            with _starting:
                if not _somebody_hears():
                    _dispatcher = None
                    return
    except BaseException:  # a listener's SystemExit ends this thread, not what comes after it
        with _starting:
            _dispatcher = None
        raise


def _deliver_all() -> None:
    for known in _known():
        known.deliver()
        if known.finished:
            _publishers.pop(known.queue.number, None)


def _stop() -> None:
    stop_waiting_for_events()
    dispatcher = _dispatcher
    if dispatcher is not None:
        dispatcher.join(_STOP_WITHIN)


def _forget_the_parent() -> None:
    global _dispatcher, _starting
    _dispatcher = None
    _starting = threading.RLock()


_publishers: weakref.WeakValueDictionary[int, Publisher] = weakref.WeakValueDictionary()
_dispatcher: threading.Thread | None = None
_logging = False
_starting = threading.RLock()
_STOP_WITHIN = 1.0
"""Seconds that the end of the interpreter waits for a listener."""

atexit.register(_stop)
os.register_at_fork(after_in_child=_forget_the_parent)
