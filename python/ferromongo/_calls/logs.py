"""PyMongo's structured logging: records of what the engine tells, in the loggers programs know.

The engine must learn cheaply whether a logger wants records, and `logging` tells nobody when a
level changes. But it remembers for each logger which levels it takes, and forgets all of that at
each change. So a mark is left in that memory: as long as it is there, what was noted holds.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from bson import decode
from pymongo.logger import LogMessage

from ferromongo._core import note_loggers
from ferromongo._pymongo_internals import verbose_reason

COMMAND = logging.getLogger("pymongo.command")
CONNECTION = logging.getLogger("pymongo.connection")
SERVER_SELECTION = logging.getLogger("pymongo.serverSelection")
TOPOLOGY = logging.getLogger("pymongo.topology")
TRANSACTION = logging.getLogger("ferromongo.transaction")

KNOWN_LEVELS: dict[int, bool] = getattr(logging.getLogger(), "_cache", {})
"""Of the root logger. Were it to go in some later Python, every operation would look anew."""
LEVELS_SEEN = -5000
"""The mark: a level that nobody uses."""


def note_levels() -> bool:
    """Report to the engine which loggers want records. True if one of PyMongo's does."""
    while True:
        # First the mark: a change from here on makes the next operation look again.
        logging.getLogger().isEnabledFor(LEVELS_SEEN)
        wanted = _wanted()
        note_loggers(wanted)
        # Another thread may have reported a newer change since this one read the levels, so read
        # them again. There is no lock, since a signal handler could run while it is held.
        if _wanted() == wanted:
            return any(wanted[:4])


def _wanted() -> tuple[bool, bool, bool, bool, bool, bool]:
    return (
        _wants(COMMAND),
        _wants(CONNECTION),
        _wants(SERVER_SELECTION),
        _wants(TOPOLOGY),
        _wants(TRANSACTION, logging.INFO),
        _wants(TRANSACTION, logging.WARNING),
    )


def _look_again() -> None:
    # A child has no dispatcher: its first operation finds no mark, and starts one.
    KNOWN_LEVELS.pop(LEVELS_SEEN, None)


def _wants(logger: logging.Logger, level: int = logging.DEBUG) -> bool:
    # Not isEnabledFor: `disabled` of a logger may change without notice, so it is left to the
    # logger itself, when it gets the record.
    threshold = max(logger.manager.disable + 1, logger.getEffectiveLevel())
    return threshold <= level


os.register_at_fork(after_in_child=_look_again)


class Logs:
    """Writes the records of one client. Methods with the name of one of PyMongo's listeners' take
    its arguments; the others are about what has no listeners. Values become text only where a
    record does (`LogMessage`); secrets and long documents are left out there too."""

    def __init__(self, client_id: Any) -> None:
        self._id = client_id

    def publish_command_start(
        self,
        command: dict[str, Any],
        database: str,
        request_id: int,
        at: Any,
        connection_id: int | None,
        operation_id: int,
        service_id: Any,
        *,
        driver_connection_id: int,
    ) -> None:
        ids = (request_id, operation_id, driver_connection_id, connection_id)
        name = next(iter(command))
        self._command("Command started", name, database, ids, at, service_id, command=command)

    def publish_command_success(
        self,
        duration: Any,
        reply: Any,
        name: str,
        request_id: int,
        at: Any,
        connection_id: int | None,
        operation_id: int,
        service_id: Any,
        speculative: bool,
        database: str,
        *,
        driver_connection_id: int,
    ) -> None:
        ids = (request_id, operation_id, driver_connection_id, connection_id)
        outcome = {
            "durationMS": duration,
            # Only a reply that was left out because of its secrets is empty here. PyMongo's class
            # shows such a one as "{}", but only if there is something to leave out.
            "reply": reply or {"ok": 1},
            "speculative_authenticate": speculative,
        }
        self._command("Command succeeded", name, database, ids, at, service_id, **outcome)

    def publish_command_failure(
        self,
        duration: Any,
        failure: Any,
        name: str,
        request_id: int,
        at: Any,
        connection_id: int | None,
        operation_id: int,
        service_id: Any,
        database: str,
        *,
        driver_connection_id: int,
        is_server_side_error: bool,
    ) -> None:
        ids = (request_id, operation_id, driver_connection_id, connection_id)
        outcome = {
            "durationMS": duration,
            "failure": failure,
            "isServerSideError": is_server_side_error,
        }
        self._command("Command failed", name, database, ids, at, service_id, **outcome)

    def retrying(self, name: str, operation_id: int | None, attempt: int, write: bool) -> None:
        message = f"Retrying {'write' if write else 'read'} attempt number {attempt}"
        about = {"clientId": self._id, "commandName": name, "operationId": operation_id}
        _log(COMMAND, message, **about)

    def _command(
        self,
        message: str,
        name: str,
        database: str,
        ids: tuple[Any, ...],
        at: Any,
        service_id: Any,
        **more: Any,
    ) -> None:
        request_id, operation_id, driver_connection_id, server_connection_id = ids
        _log(
            COMMAND,
            message,
            clientId=self._id,
            commandName=name,
            databaseName=database,
            requestId=request_id,
            operationId=operation_id,
            driverConnectionId=driver_connection_id,
            serverConnectionId=server_connection_id,
            **_place(at),
            serviceId=service_id,
            **more,
        )

    def publish_pool_created(self, at: Any, options: dict[str, Any]) -> None:
        self._connection("Connection pool created", at, **options)

    def publish_pool_ready(self, at: Any) -> None:
        self._connection("Connection pool ready", at)

    def publish_pool_cleared(self, at: Any, service_id: Any, _interrupts: bool) -> None:
        self._connection("Connection pool cleared", at, serviceId=service_id)

    def publish_pool_closed(self, at: Any) -> None:
        self._connection("Connection pool closed", at)

    def publish_connection_created(self, at: Any, number: int) -> None:
        self._connection("Connection created", at, driverConnectionId=number)

    def publish_connection_ready(self, at: Any, number: int, seconds: float) -> None:
        about = {"driverConnectionId": number, "durationMS": seconds * 1000}
        self._connection("Connection ready", at, **about)

    def publish_connection_closed(self, at: Any, number: int, reason: str) -> None:
        about = {"driverConnectionId": number, "reason": verbose_reason(reason), "error": reason}
        self._connection("Connection closed", at, **about)

    def publish_connection_check_out_started(self, at: Any) -> None:
        self._connection("Connection checkout started", at)

    def publish_connection_check_out_failed(self, at: Any, reason: str, seconds: float) -> None:
        about = {"reason": verbose_reason(reason), "error": reason, "durationMS": seconds * 1000}
        self._connection("Connection checkout failed", at, **about)

    def publish_connection_checked_out(self, at: Any, number: int, seconds: float) -> None:
        about = {"driverConnectionId": number, "durationMS": seconds * 1000}
        self._connection("Connection checked out", at, **about)

    def publish_connection_checked_in(self, at: Any, number: int) -> None:
        self._connection("Connection checked in", at, driverConnectionId=number)

    def _connection(self, message: str, at: Any, **more: Any) -> None:
        _log(CONNECTION, message, clientId=self._id, **_place(at), **more)

    def publish_topology_opened(self, _id: Any) -> None:
        self._topology("Starting topology monitoring")

    def publish_topology_closed(self, _id: Any) -> None:
        self._topology("Stopped topology monitoring")

    def publish_topology_description_changed(self, old: Any, new: Any, _id: Any) -> None:
        descriptions = {"previousDescription": repr(old), "newDescription": repr(new)}
        self._topology("Topology description changed", **descriptions)

    def publish_server_opened(self, at: Any, _id: Any) -> None:
        self._topology("Starting server monitoring", **_place(at))

    def publish_server_closed(self, at: Any, _id: Any) -> None:
        self._topology("Stopped server monitoring", **_place(at))

    def publish_server_description_changed(self, _old: Any, _new: Any, _at: Any, _id: Any) -> None:
        """The change of the topology tells it all."""

    def publish_server_heartbeat_started(self, at: Any, awaited: bool, **ids: Any) -> None:
        self._heartbeat("Server heartbeat started", at, awaited, ids)

    def publish_server_heartbeat_succeeded(
        self, at: Any, seconds: float, hello: Any, awaited: bool, **ids: Any
    ) -> None:
        outcome = {"durationMS": seconds * 1000, "reply": hello.document}
        self._heartbeat("Server heartbeat succeeded", at, awaited, ids, **outcome)

    def publish_server_heartbeat_failed(
        self, at: Any, seconds: float, error: Exception, awaited: bool, **ids: Any
    ) -> None:
        outcome = {"durationMS": seconds * 1000, "failure": error}
        self._heartbeat("Server heartbeat failed", at, awaited, ids, **outcome)

    def _heartbeat(
        self, message: str, at: Any, awaited: bool, ids: dict[str, Any], **more: Any
    ) -> None:
        connection = {
            "driverConnectionId": ids["driver_connection_id"],
            "serverConnectionId": ids["server_connection_id"],
        }
        self._topology(message, **_place(at), awaited=awaited, **connection, **more)

    def _topology(self, message: str, **more: Any) -> None:
        _log(TOPOLOGY, message, topologyId=self._id, **more)

    def transaction_ended(self, encoded: bytes) -> None:
        """One line for each transaction that a transaction log has noted."""
        entry = decode(encoded)
        outcome, statements = entry["outcome"], entry["statements"]
        name = f"{entry['lsid'].as_uuid()}:{entry['txnNumber']}"
        duration = (entry["ended"] - entry["started"]).total_seconds() * 1000
        said = list(dict.fromkeys(f"{one['command']} {one['ns']}" for one in statements))
        shown = ", ".join(said[:_SHOWN]) + (", ..." if len(said) > _SHOWN else "")
        text = f"transaction {name} {outcome} after {duration:.0f} ms: {shown}"
        if "error" in entry:
            text = f"{text}: {entry['error']['message']}"
        level = logging.WARNING if outcome == "unknown" else logging.INFO
        TRANSACTION.log(level, "%s", text, extra={"transaction": entry, "clientId": self._id})

    def selection_started(self, about: Any) -> None:
        self._selection("Server selection started", about)

    def selection_waiting(self, about: Any, milliseconds: int) -> None:
        message = "Waiting for suitable server to become available"
        self._selection(message, about, remainingTimeMS=milliseconds)

    def selection_succeeded(self, about: Any, at: Any) -> None:
        self._selection("Server selection succeeded", about, **_place(at))

    def selection_failed(self, about: Any, reason: str) -> None:
        self._selection("Server selection failed", about, failure=reason)

    def _selection(self, message: str, about: tuple[Any, ...], **more: Any) -> None:
        selector, operation, operation_id, description = about
        _log(
            SERVER_SELECTION,
            message,
            clientId=self._id,
            selector=selector,
            operation=operation,
            operationId=operation_id,
            topologyDescription=description,
            **more,
        )


_SHOWN = 10
"""Of a transaction's different statements, in a line of the log."""


def _place(at: tuple[str, int | None]) -> dict[str, Any]:
    return {"serverHost": at[0], "serverPort": at[1]}


def _log(logger: logging.Logger, message: str, **fields: Any) -> None:
    logger.debug(LogMessage(message=message, **fields))
