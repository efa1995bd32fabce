"""Which folders of the specifications run, and which tests fail for a reason we know."""

FOLDERS = [
    "auth/tests/unified",
    "causal-consistency/tests",
    "client-backpressure/tests",
    "client-side-operations-timeout/tests",
    "collection-management/tests",
    "command-logging-and-monitoring/tests/logging",
    "command-logging-and-monitoring/tests/monitoring",
    "connection-monitoring-and-pooling/tests/logging",
    "crud/tests/unified",
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
    "change-streams/tests/unified": "ferromongo has no change streams yet",
    "gridfs/tests": "ferromongo has no GridFS yet",
    "unified-test-format/tests/invalid": "files that are no files of the format",
}

# What must make the runner fail, and how: a part of the exception's text.
SELF_TESTS = "unified-test-format/tests/valid-fail"

FAILING: dict[str, str] = {}
