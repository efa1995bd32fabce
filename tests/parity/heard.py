"""Events of commands in a form that can be compared between two runs."""

import re
from collections.abc import Mapping

import bson


def commands(recorder):
    """What was heard, with ids, times and ports replaced by names in their order of appearance."""
    names = Names()
    told = []
    for event in recorder.commands():
        about = {
            "kind": type(event).__name__,
            "name": event.command_name,
            "database": event.database_name,
            "request": names.of("request", event.request_id),
            "operation": names.of("operation", event.operation_id),
            "at": (event.connection_id, event.service_id),
            "connection": names.of("connection", event.server_connection_id),
        }
        for part in ("command", "reply", "failure"):
            document = getattr(event, part, None)
            if document is not None:
                about[part] = plain(document, names)
                # PyMongo knows the time from a connection's handshake on.
                about[part].pop("$clusterTime", None)
        if event.command_name == "configureFailPoint" and "reply" in about:
            del about["reply"]["count"]  # how often it was used so far
        if event.command_name in ("saslStart", "saslContinue"):
            # PyMongo takes an operation's id for the authentication within it.
            del about["operation"]
        told.append(about)
    return told


def plain(value, names, key=""):
    if key in MEANINGLESS:
        return key
    if key in ("_data", "lsid", "txnNumber", "id", "getMore", "cursors", "cursorsKilled"):
        return names.of(key, str(value)) if value else value
    if isinstance(value, Mapping):
        return {name: plain(item, names, name) for name, item in value.items()}
    if isinstance(value, list):
        long = [f"... {len(value)}"] if len(value) > 10 else []
        return [plain(item, names) for item in value[:10]] + long
    if isinstance(value, (bson.ObjectId, bson.Timestamp)):
        return type(value).__name__
    if isinstance(value, str):
        return re.sub(r"127\.0\.0\.1:\d+: .*", "what the socket said", value)
    return value


class Names:
    """The n-th different value of a kind is called n."""

    def __init__(self):
        self._known = {}

    def of(self, kind, value):
        known = self._known.setdefault(kind, {})
        return f"{kind} {known.setdefault(value, len(known) + 1)}"


MEANINGLESS = (
    "$clusterTime",
    "electionId",
    "keysPerSecond",
    "opTime",
    "operationTime",
    "wallTime",
)
