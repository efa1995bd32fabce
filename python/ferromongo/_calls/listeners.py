"""Delivers events to the user's listeners and loggers.

Events of an operation are delivered by its own thread, in its context and before it returns: the
engine calls `deliver`. Background events wait in a queue of the client for the client's dispatcher
thread, which runs only if there are listeners or loggers for them.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import traceback
import weakref
from typing import Any

from bson.codec_options import DatetimeConversion, TypeRegistry
from pymongo.client_options import ClientOptions

from ferromongo._calls.bases import SessionBase
from ferromongo._calls.guard import STARTED
from ferromongo._calls.logs import Logs, note_levels
from ferromongo._calls.sessions import AMBIENT, ambient
from ferromongo._core import EventQueue, OwnEvents


class Publisher:
    """The listeners and logs of one client, and the queue of its background events."""

    def __init__(self, options: ClientOptions) -> None:
        listeners: Any = options.pool_options._event_listeners
        self._listeners = listeners
        self._has_listeners = bool(listeners.event_listeners())
        wanted = (
            listeners.enabled_for_commands,
            listeners.enabled_for_cmap,
            listeners.enabled_for_server,
            listeners.enabled_for_server_heartbeat,
            listeners.enabled_for_topology,
        )
        # Whatever a command carries can be decoded: its events must not be lost.
        replies = options.codec_options.with_options(
            unicode_decode_error_handler="replace", type_registry=TypeRegistry()
        )
        if replies.datetime_conversion == DatetimeConversion.DATETIME:
            replies = replies.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
        commands = replies.with_options(document_class=dict)
        threshold = options.local_threshold_ms / 1000
        pool_options = options.pool_options.non_default_options
        self.queue = EventQueue(wanted, pool_options, commands, replies, threshold)
        self._logs = Logs(self.queue.client_id)
        self._closed = False
        self._dispatcher: threading.Thread | None = None
        _publishers[self.queue.number] = self
        look_at_loggers()

    def deliver(self, own: OwnEvents) -> None:
        """Call the listeners, and log. Call again after KeyboardInterrupt or SystemExit."""
        inside, started = AMBIENT.get(), STARTED.get()
        if not started and (inside is None or isinstance(inside, SessionBase)):
            return self._deliver(own)
        # What listeners send is not part of the caller's transaction, and is not meant to be.
        tokens = AMBIENT.set(ambient().bound), STARTED.set(())
        try:
            self._deliver(own)
        finally:
            AMBIENT.reset(tokens[0])
            STARTED.reset(tokens[1])

    def _deliver(self, own: OwnEvents) -> None:
        while (event := self.queue.take(own)) is not None:
            self._tell(*event)

    def deliver_background(self) -> None:
        while (event := self.queue.take()) is not None:
            try:
                self._tell(*event)
            except SystemExit:  # a thread that a listener wants to end is not the dispatcher
                pass
            except BaseException:
                traceback.print_exc()
            finally:
                self.queue.done()

    def _tell(self, name: str, arguments: tuple[Any, ...], logged: dict[str, Any] | None) -> None:
        if logged is not None:
            self._log(name, arguments, logged)
        # PyMongo's method prints the exceptions of listeners.
        listen = getattr(self._listeners, name, None) if self._has_listeners else None
        if listen is not None:  # some things are only logged
            listen(*arguments)

    def _log(self, name: str, arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
        # A handler may write its records with this client, or with another one.
        ident = threading.get_ident()  # of the greenlet, where gevent or eventlet has patched it
        if ident in _in_a_handler:
            return
        _in_a_handler.add(ident)
        try:
            getattr(self._logs, name)(*arguments, **more)
        except Exception:  # of a handler or filter: it must not be taken for one of the operation
            traceback.print_exc()
        finally:
            _in_a_handler.discard(ident)

    def start_dispatcher(self) -> None:
        """Unless it is running, or there are neither listeners nor loggers for events."""
        with _starting:
            if self._closed or self._dispatcher or not (_logging or self._has_listeners):
                return
            queue = self.queue
            reference = weakref.ref(self, lambda _: queue.end())
            self._dispatcher = threading.Thread(
                target=_dispatch, args=(queue, reference), name="ferromongo events", daemon=True
            )
            self._dispatcher.start()

    def forget_dispatcher(self) -> None:
        self._dispatcher = None

    def close(self) -> None:
        """No more events: the dispatcher delivers the rest and ends."""
        self._closed = True
        self.queue.end()

    def stop(self) -> threading.Thread | None:
        self.queue.stop()
        return self._dispatcher


def deliver(number: int, own: OwnEvents) -> None:
    """Called by an operation's thread for its events; without effect once the publisher is gone."""
    known = _publishers.get(number)
    if known is not None:
        known.deliver(own)


def look_at_loggers() -> None:
    """Called when a client is made, and by the first operation after a logger's level changed."""
    global _logging
    _logging = note_levels()
    start_dispatchers()


def start_dispatchers() -> None:
    for known in _known():
        known.start_dispatcher()


def _known() -> list[Publisher]:
    # Unlike values() this is one step: other threads make clients meanwhile.
    found = [reference() for reference in _publishers.valuerefs()]
    return [one for one in found if one is not None]


def _dispatch(queue: EventQueue, reference: weakref.ref[Publisher]) -> None:
    while queue.wait():
        publisher = reference()
        if publisher is None:
            return
        publisher.deliver_background()
        del publisher  # or waiting would keep it alive


def _stop() -> None:
    until = time.monotonic() + _STOP_WITHIN
    for dispatcher in [known.stop() for known in _known()]:
        if dispatcher is not None:
            dispatcher.join(max(0, until - time.monotonic()))


def _forget_the_parent() -> None:
    global _starting
    _starting = threading.RLock()
    _in_a_handler.intersection_update({threading.get_ident()})
    for known in _known():
        known.forget_dispatcher()


_publishers: weakref.WeakValueDictionary[int, Publisher] = weakref.WeakValueDictionary()
_logging = False
_in_a_handler: set[int] = set()
_starting = threading.RLock()
_STOP_WITHIN = 1.0
"""Seconds that the end of the interpreter waits for listeners."""

atexit.register(_stop)
os.register_at_fork(after_in_child=_forget_the_parent)
