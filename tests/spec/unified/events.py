"""What a client entity reports: collected, and compared with expectEvents."""

import re
import threading
from collections.abc import Iterator
from typing import Any

from pymongo import monitoring
from tests.listeners import Recorder
from tests.spec.unified.arguments import snake
from tests.spec.unified.match import Matcher, Mismatch, Unsupported, check

# Commands whose content PyMongo hides from listeners.
SENSITIVE = {
    "authenticate",
    "saslstart",
    "saslcontinue",
    "getnonce",
    "createuser",
    "updateuser",
    "copydbgetnonce",
    "copydbsaslstart",
    "copydb",
}
HELLO = {"hello", "ismaster"}
# Stays out of what is compared, whatever the file says: it is the runner's own.
ALWAYS_IGNORED = {"configurefailpoint"}


class Observer(Recorder):
    """Everything one client reports; `observed` is what its file asked for."""

    def __init__(self, client: dict[str, Any]) -> None:
        super().__init__()
        self._kinds = {kind.lower() for kind in client.get("observeEvents", [])}
        ignored = client.get("ignoreCommandMonitoringEvents", [])
        self._ignored = ALWAYS_IGNORED | {name.lower() for name in ignored}
        self._sensitive = client.get("observeSensitiveCommands", False)
        self._lock = threading.Lock()
        self._from = 0
        self.checked_out = 0

    def _note(self, event: Any) -> None:
        with self._lock:
            if isinstance(event, monitoring.ConnectionCheckedOutEvent):
                self.checked_out += 1
            elif isinstance(event, monitoring.ConnectionCheckedInEvent):
                self.checked_out -= 1
            self.events.append(event)

    started = succeeded = failed = opened = closed = description_changed = _note
    pool_created = pool_ready = pool_cleared = pool_closed = _note
    connection_created = connection_ready = connection_closed = _note
    connection_check_out_started = connection_check_out_failed = _note
    connection_checked_out = connection_checked_in = _note

    def forget(self) -> None:
        """What came so far is not compared."""
        self._from = len(self.events)

    @property
    def watches_topology(self) -> bool:
        return any(kind.startswith(("server", "topology")) for kind in self._kinds)

    @property
    def watches_pools(self) -> bool:
        return any(CMAP.match(kind) for kind in self._kinds)

    @property
    def topology_id(self) -> Any:
        opened = self.of(monitoring.TopologyOpenedEvent)
        return opened[0].topology_id if opened else None

    def observed(self, family: str | None = None) -> list[Any]:
        events = [event for event in self.events[self._from :] if self._counts(event)]
        return [event for event in events if family in (None, family_of(event))]

    def _counts(self, event: Any) -> bool:
        if kind_of(event).lower() not in self._kinds:
            return False
        if not isinstance(event, COMMAND):
            return True
        name = event.command_name.lower()
        return name not in self._ignored and (self._sensitive or not is_sensitive(event))


def is_sensitive(event: Any) -> bool:
    name = event.command_name.lower()
    if name in SENSITIVE:
        return True
    # A hello is hidden only if it authenticates, and then it is told of without its content.
    content = getattr(event, "command", getattr(event, "reply", None))
    return name in HELLO and not content


def kind_of(event: Any) -> str:
    """The event's name in the specifications: `CommandStartedEvent` is commandStartedEvent."""
    name = type(event).__name__
    name = NAMES.get(name, name)
    return name[0].lower() + name[1:]


def family_of(event: Any) -> str:
    return (
        "command"
        if isinstance(event, COMMAND)
        else "cmap"
        if CMAP.match(kind_of(event))
        else "sdam"
    )


def check_events(expected: dict[str, Any], observer: Observer, matcher: Matcher) -> None:
    """One entry of a test's `expectEvents`."""
    actual = observer.observed(expected.get("eventType", "command"))
    wanted = expected["events"]
    if expected.get("ignoreExtraEvents"):
        actual = actual[: len(wanted)]
    shown = "\n".join(f"  {event}" for event in actual)
    check(
        len(actual) == len(wanted),
        f"events of {expected['client']}",
        f"{len(actual)} instead of {len(wanted)}:\n{shown}",
    )
    for index, (one, event) in enumerate(zip(wanted, actual, strict=True)):
        check_event(one, event, matcher, f"event {index} of {expected['client']}")


def count(expected: dict[str, Any], observer: Observer, matcher: Matcher) -> int:
    """How many of the events so far look like this one."""
    return sum(1 for _ in _alike(expected, observer, matcher))


def _alike(expected: dict[str, Any], observer: Observer, matcher: Matcher) -> Iterator[Any]:
    for event in observer.observed():
        try:
            check_event(expected, event, matcher, "event")
        except Mismatch:
            continue
        yield event


def check_event(expected: dict[str, Any], event: Any, matcher: Matcher, where: str) -> None:
    ((kind, fields),) = expected.items()
    check(kind_of(event) == kind, where, f"{event} is no {kind}")
    for field, value in fields.items():
        place = f"{where}, {kind}.{field}"
        match field:
            case "hasServiceId":
                check((event.service_id is not None) is value, place, f"{event.service_id}")
            case "hasServerConnectionId":
                number = event.server_connection_id
                check((number is not None) is value, place, f"{number}")
            case "command" | "reply":
                matcher.match(value, getattr(event, field), where=place)
            case "previousDescription" | "newDescription":
                description = getattr(event, snake(field))
                for name, part in value.items():
                    if name != "type":
                        raise Unsupported(f"a description's {name}")
                    matcher.match(part, type_of(description), where=place)
            case "interruptInUseConnections":
                matcher.match(value, event.interrupt_connections, where=place)
            case _:
                matcher.match(value, getattr(event, snake(field)), where=place)


def type_of(description: Any) -> str:
    """The type of a server or topology, in the specifications' words."""
    return str(getattr(description, "topology_type_name", None) or description.server_type_name)


COMMAND = (
    monitoring.CommandStartedEvent,
    monitoring.CommandSucceededEvent,
    monitoring.CommandFailedEvent,
)
CMAP = re.compile("pool|connection")
# Where PyMongo's class is called otherwise than in the specification.
NAMES = {"TopologyOpenedEvent": "TopologyOpeningEvent"}
