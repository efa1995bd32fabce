"""`mongodb+srv://`: a thread of its own looks up the servers, and then watches their records.

The engine starts it when the first operation needs the servers, so no event loop waits for a name
server. Look-ups are PyMongo's, made with dnspython: its resolver and its rules for the answers.
"""

from __future__ import annotations

import queue
import random
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pymongo import common

from ferromongo._calls.bases import ClientBase
from ferromongo._core import SeedLookup
from ferromongo._pymongo_internals import SrvResolver
from ferromongo.typings import Address

if TYPE_CHECKING:
    from ferromongo._calls.client_settings import ClientSettings


class SrvSource(NamedTuple):
    """The records of a client, and what it accepts from them."""

    name: str
    service: str
    max_hosts: int
    allowed_suffix: str | None
    host_validator: Callable[[str], bool] | None

    def scan(self, timeout: float | None) -> tuple[list[tuple[str, int]], int]:
        """All valid hosts, at least one, and for how many seconds they are good."""
        resolver = SrvResolver(
            self.name,
            timeout,
            self.service,
            srv_allowed_hosts_suffix=self.allowed_suffix,
            srv_host_validator=self.host_validator,
        )
        found, seconds = resolver.get_hosts_and_min_ttl()
        hosts = [host for host in found if wrong_record(*host) is None]
        if not hosts:
            raise LookupError(f"no valid host in the SRV records of {self.name}")
        return hosts, seconds


def wrong_record(host: str, port: int) -> str | None:
    """Why an SRV record cannot name a server: PyMongo looks at the domain only.

    What ends in .sock is the path of a socket elsewhere, which only the user may name.
    """
    if host.endswith(".sock"):
        return f"Invalid SRV host: {host} looks like the path of a Unix domain socket"
    if not 1 <= port <= 65535:
        return f"Invalid SRV host: {host} with port {port}, which is not a TCP port"
    return None


def srv_source(name: str, options: Mapping[str, Any]) -> SrvSource:
    return SrvSource(
        name,
        srv_service(options),
        options.get("srvmaxhosts") or 0,
        options.get("srvallowedhostssuffix"),
        options.get("srv_host_validator"),
    )


def srv_service(options: Mapping[str, Any]) -> str:
    service: str = options.get("srvservicename", common.SRV_SERVICE_NAME)
    return service


class SeedWatch:
    """Starts the thread of one client, and ends it."""

    def __init__(self, client: ClientBase, look_up: Callable[[], ClientSettings]) -> None:
        self._client = weakref.ref(client)
        self._look_up = look_up
        # Unlike an Event it may be used in the callback of a weak reference: its put never waits.
        # Not imported by name: gevent and eventlet replace it in its module.
        self._stop: queue.SimpleQueue[None] | None = None

    def start(self, lookup: SeedLookup) -> None:
        """Called by the engine, again after a failure and in a forked child."""
        stop: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stop = stop
        client = self._client()
        if client is not None:
            watched = weakref.ref(client, lambda _: stop.put(None))
            arguments = (watched, self._look_up, lookup, stop)
            threading.Thread(target=_run, args=arguments, name=THREAD_NAME, daemon=True).start()

    def stop(self) -> None:
        """A look-up that is under way is left to end by itself."""
        if self._stop is not None:
            self._stop.put(None)


def next_hosts(
    current: Collection[Address], found: Collection[tuple[str, int]], limit: int
) -> list[tuple[str, int]]:
    """Which of the hosts found to use: with a limit, those in use stay and chance adds others."""
    kept = [host for host in found if host in current]
    new = [host for host in dict.fromkeys(found) if host not in current]
    if limit:
        new = random.sample(new, min(len(new), max(0, limit - len(kept))))
    return kept + new


def _run(
    client: weakref.ref[ClientBase],
    look_up: Callable[[], ClientSettings],
    lookup: SeedLookup,
    stop: queue.SimpleQueue[None],
) -> None:
    try:
        settings = look_up()
    except Exception as error:
        lookup.failed(error)
        return
    owner = client()
    if owner is not None:
        owner._settings = settings.kept()
        owner._client_options = settings.options
    del owner  # or this thread would keep an unclosed client alive
    lookup.found(settings.engine)
    if not settings.options.load_balanced and settings.options.replica_set_name is None:
        _poll(client, settings, stop)


def _poll(
    client: weakref.ref[ClientBase], settings: ClientSettings, stop: queue.SimpleQueue[None]
) -> None:
    source, options = settings.srv, settings.options
    pause: float = common.MIN_SRV_RESCAN_INTERVAL
    while source is not None and _wait(client, pause, options.heartbeat_frequency, stop):
        try:
            hosts, seconds = source.scan(options.pool_options.connect_timeout)
        except Exception:
            pause = options.heartbeat_frequency  # the topology stays as it is
            continue
        pause = max(seconds, common.MIN_SRV_RESCAN_INTERVAL)
        owner = client()
        if owner is not None:
            current = owner._core.topology()["servers"]
            owner._core.replace_hosts(next_hosts(current, hosts, source.max_hosts))
        del owner


def _wait(
    client: weakref.ref[ClientBase], seconds: float, step: float, stop: queue.SimpleQueue[None]
) -> bool:
    """False once there is nothing more to poll for."""
    end = time.monotonic() + seconds
    while _has_polled_topology(client):
        left = end - time.monotonic()
        if left <= 0:
            return True
        try:
            stop.get(timeout=min(left, step))
        except queue.Empty:
            continue
        return False
    return False


def _has_polled_topology(client: weakref.ref[ClientBase]) -> bool:
    owner = client()
    if owner is None or owner._core.closed:
        return False
    return owner._core.topology()["type"] in ("Unknown", "Sharded")


THREAD_NAME = "ferromongo srv"
