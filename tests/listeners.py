"""A listener of everything, for tests."""

import threading

from pymongo import monitoring


class Recorder(
    monitoring.CommandListener,
    monitoring.ConnectionPoolListener,
    monitoring.ServerHeartbeatListener,
    monitoring.ServerListener,
    monitoring.TopologyListener,
):
    """Keeps the events, and who was told of each."""

    def __init__(self):
        self.events = []
        self.threads = []

    def _note(self, event):
        self.events.append(event)
        self.threads.append(threading.current_thread())

    started = succeeded = failed = opened = closed = description_changed = _note
    pool_created = pool_ready = pool_cleared = pool_closed = _note
    connection_created = connection_ready = connection_closed = _note
    connection_check_out_started = connection_check_out_failed = _note
    connection_checked_out = connection_checked_in = _note

    def of(self, *kinds):
        return [event for event in self.events if isinstance(event, kinds)]

    def commands(self, name=None):
        return [event for event in self.of(*COMMANDS) if name in (None, event.command_name)]

    def sent(self, name=None):
        """The commands themselves."""
        started = self.of(monitoring.CommandStartedEvent)
        return [event.command for event in started if name in (None, event.command_name)]


class Commands(monitoring.CommandListener):
    """Calls one function with every event of a command."""

    def __init__(self, hear):
        self.started = self.succeeded = self.failed = hear


COMMANDS = (
    monitoring.CommandStartedEvent,
    monitoring.CommandSucceededEvent,
    monitoring.CommandFailedEvent,
)
