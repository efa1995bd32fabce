"""Which folders of the specifications run, and which tests do not pass for a reason we know.

Tests are named as pytest names them: "folder/file: description".
"""

import os
from collections.abc import Mapping
from typing import Any

RUN_ALL = os.environ.get("FERROMONGO_UNIFIED") == "all"

FOLDERS = [
    "auth/tests/unified",
    "causal-consistency/tests",
    "change-streams/tests/unified",
    "client-backpressure/tests",
    "client-side-operations-timeout/tests",
    "collection-management/tests",
    "command-logging-and-monitoring/tests/logging",
    "command-logging-and-monitoring/tests/monitoring",
    "connection-monitoring-and-pooling/tests/logging",
    "crud/tests/unified",
    "gridfs/tests",
    "index-management/tests",
    "load-balancers/tests",
    "mongodb-handshake/tests/unified",
    "read-write-concern/tests/operation",
    "retryable-reads/tests/unified",
    "retryable-writes/tests/unified",
    "run-command/tests/unified",
    "server-discovery-and-monitoring/tests/unified",
    "server-selection/tests/logging",
    "sessions/tests",
    "transactions-convenient-api/tests/unified",
    "transactions/tests/unified",
    "unified-test-format/tests/valid-pass",
    "versioned-api/tests",
]

NOT_RUN = {
    "unified-test-format/tests/invalid": "no files of the format: its JSON schema refuses them",
}

# Of these, whose tests wait or are many of one kind, every fourth runs by default.
SAMPLED = [
    "client-backpressure/tests",
    "client-side-operations-timeout/tests",
    "retryable-reads/tests/unified",
    "retryable-writes/tests/unified",
    "server-discovery-and-monitoring/tests/unified",
    "transactions/tests/unified",
]

_CSOT = "client-side-operations-timeout"
_TAILABLE = "PyMongo gives tailable cursors no timeout of their own"

# Not run, as they say nothing about a driver with PyMongo's behaviour, and may wait for long.
SKIPPED = {
    f"{_CSOT}/tailable-awaitData: ": _TAILABLE,
    f"{_CSOT}/tailable-non-awaitData: ": _TAILABLE,
    **{
        f"{_CSOT}/change-streams: {title}": "PyMongo's streams have no timeout of their own: a "
        "timeout() block limits one call"
        for title in (
            "change stream can be iterated again",
            "error if maxAwaitTimeMS",
            "timeoutMS applies to full resume",
            "timeoutMS is refreshed for getMore",
        )
    },
    f"{_CSOT}/convenient-transactions: withTransaction surfaces a timeout after exhausting": (
        "in PyMongo timeoutMS of a client does not limit with_transaction: it takes two minutes"
    ),
}

# PyMongo 4.20 fails these too: ferromongo does as PyMongo.
_AS_PYMONGO = "as PyMongo: "
_WITH_TRANSACTION = _AS_PYMONGO + "timeoutMS of a client does not limit with_transaction as a whole"
_LOG_LEVEL = _AS_PYMONGO + "it logs all of its messages as debug"

FAILING: dict[str, str] = {
    f"{_CSOT}/close-cursors: timeoutMS is refreshed for close": (
        _AS_PYMONGO + "timeout() limits the call, not the cursor"
    ),
    f"{_CSOT}/runCursorCommand: Tailable cursor awaitData iteration timeoutMS is refreshed for "
    "getMore - failure": _AS_PYMONGO + _TAILABLE,
    f"{_CSOT}/convenient-transactions: withTransaction raises a client-side error if timeoutMS is "
    "overridden inside the callback": _AS_PYMONGO + "a timeout() block may stand in the callback",
    f"{_CSOT}/convenient-transactions: timeoutMS is not refreshed for each operation in the "
    "callback": _WITH_TRANSACTION,
    f"{_CSOT}/sessions-inherit-timeoutMS: timeoutMS applied to withTransaction": _WITH_TRANSACTION,
    "server-selection/replica-set: Server selection fails due to unsatisfiable read preference": (
        _LOG_LEVEL
    ),
    "server-selection/standalone: Failure due to unreachable server": _LOG_LEVEL,
    "server-selection/operation-id: Failed bulkWrite operation: log messages have operationIds": (
        _LOG_LEVEL
    ),
}

# PyMongo 4.20 fails these, ferromongo does not.
FAILING_ON_PYMONGO = {
    f"{_CSOT}/sessions-override-operation-timeoutMS: timeoutMS applied to withTransaction": (
        "its abort is not sent once the time is up"
    ),
    "transactions/commit: rerun commit after empty transaction": (
        "it gives an empty transaction no number"
    ),
}


def as_pymongo_asks(expected: Any) -> Any:
    """GridFS asks for `{"_id": {"$eq": key}}`, or a key might be taken for an operator.

    PyMongo's copies of the files expect that too; the files themselves say `{"_id": key}`.
    """
    if isinstance(expected, list):
        return [as_pymongo_asks(item) for item in expected]
    if not isinstance(expected, Mapping):
        return expected
    changed = {key: as_pymongo_asks(value) for key, value in expected.items()}
    if "filter" in expected and str(expected.get("find", "")).startswith("fs."):
        changed["filter"] = {
            key: {"$eq": value} if key in ("_id", "files_id") else value
            for key, value in expected["filter"].items()
        }
    return changed
