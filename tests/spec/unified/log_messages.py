"""Collects what the driver tells PyMongo's loggers, and compares it with expectLogMessages."""

import json
import logging
import os
from typing import Any

from bson.json_util import loads
from tests.spec.unified.match import EXTENDED_JSON, Matcher, Mismatch, check

Components = dict[str, str]
# PyMongo's variable: longer documents are cut, and what is cut can't be compared.
LONGEST_DOCUMENT = "MONGOB_LOG_MAX_DOCUMENT_LENGTH"
LOGGERS = {
    "command": "pymongo.command",
    "topology": "pymongo.topology",
    "serverSelection": "pymongo.serverSelection",
    "connection": "pymongo.connection",
}
LEVELS = {
    "emergency": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "notice": logging.INFO,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}


class LogMessages(logging.Handler):
    """Keeps what is logged within the block, from debug messages on."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[tuple[logging.LogRecord, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record, loads(record.getMessage(), json_options=EXTENDED_JSON)))

    def __enter__(self) -> "LogMessages":
        self._before = [logging.getLogger(name).level for name in LOGGERS.values()]
        for name in LOGGERS.values():
            logger = logging.getLogger(name)
            logger.addHandler(self)
            logger.setLevel(logging.DEBUG)
        self._longest = os.environ.get(LONGEST_DOCUMENT)
        os.environ[LONGEST_DOCUMENT] = "10000"
        return self

    def __exit__(self, *error: object) -> None:
        for name, level in zip(LOGGERS.values(), self._before, strict=True):
            logger = logging.getLogger(name)
            logger.removeHandler(self)
            logger.setLevel(level)
        if self._longest is None:
            del os.environ[LONGEST_DOCUMENT]
        else:
            os.environ[LONGEST_DOCUMENT] = self._longest

    def of(self, topology_id: Any, components: Components) -> list[dict[str, Any]]:
        """The messages of one client, those that its file observes."""
        found = []
        for record, data in self.records:
            component = {name: key for key, name in LOGGERS.items()}[record.name]
            level = components.get(component)
            if level is None or record.levelno < LEVELS[level]:
                continue
            if topology_id in (data.get("clientId"), data.get("topologyId")):
                found.append({"level": record.levelno, "component": component, "data": data})
        return found


def check_log_messages(
    expected: dict[str, Any], actual: list[dict[str, Any]], matcher: Matcher
) -> None:
    """One entry of a test's `expectLogMessages`."""
    ignored = expected.get("ignoreMessages", [])
    actual = [one for one in actual if not any(fits(other, one, matcher) for other in ignored)]
    wanted = expected["messages"]
    if expected.get("ignoreExtraMessages"):
        actual = actual[: len(wanted)]
    shown = "\n".join(f"  {one['data']}" for one in actual)
    where = f"log messages of {expected['client']}"
    check(len(actual) == len(wanted), where, f"{len(actual)} instead of {len(wanted)}:\n{shown}")
    for index, (one, other) in enumerate(zip(wanted, actual, strict=True)):
        check_message(one, other, matcher, f"{where}, {index}")


def check_message(expected: dict[str, Any], actual: Any, matcher: Matcher, where: str) -> None:
    if "level" in expected:
        check(actual["level"] == LEVELS[expected["level"]], where, f"{actual} has another level")
    check(actual["component"] == expected["component"], where, f"{actual} is of another component")
    data = dict(actual["data"])
    if "failureIsRedacted" in expected:
        failure = json.dumps(data.get("failure"), default=str)
        redacted = "errmsg" not in failure
        check(redacted is expected["failureIsRedacted"], where, f"the failure is {failure}")
    matcher.match(expected["data"], data, where=where)


def fits(expected: dict[str, Any], actual: Any, matcher: Matcher) -> bool:
    try:
        check_message(expected, actual, matcher, "a message")
    except Mismatch:
        return False
    return True
