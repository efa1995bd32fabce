"""pytest fixtures: a real replica set for the session, a database of its own for each test.

Importing this module does no I/O, and no server is started until a test asks for one.
"""

import os
import re
import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ferromongo.embedded.replica_set import ReplicaSet


@pytest.fixture(scope="session")
def mongodb_replica_set() -> Iterator["ReplicaSet"]:
    """A three-member replica set of the session's own, also for tests that kill members."""
    from ferromongo.embedded.replica_set import ReplicaSet

    with ReplicaSet(members=3) as replica_set:
        yield replica_set


@pytest.fixture(scope="session")
def mongodb_uri(request: pytest.FixtureRequest) -> str:
    """Where the tests' server is: FERROMONGO_TEST_URI if set, else `mongodb_replica_set`."""
    if uri := os.environ.get("FERROMONGO_TEST_URI"):
        return uri
    replica_set: ReplicaSet = request.getfixturevalue("mongodb_replica_set")
    return replica_set.uri


@pytest.fixture
def mongodb_database_name(request: pytest.FixtureRequest, mongodb_uri: str) -> Iterator[str]:
    """A name no other test uses; the database is dropped after the test."""
    test = re.sub(r"\W+", "_", request.node.name)
    # A database's name may have 63 bytes.
    name = f"{test.encode('ascii', 'ignore').decode()[:50]}_{secrets.token_hex(4)}"
    yield name
    _drop(mongodb_uri, name)


def _drop(uri: str, name: str) -> None:
    from pymongo import MongoClient
    from pymongo.errors import ConnectionFailure

    # dropDatabase is not retryable, and the test may just have killed the primary.
    deadline = time.monotonic() + 30
    while True:
        try:
            with MongoClient[dict[str, object]](uri) as client:
                client.drop_database(name)
            return
        except ConnectionFailure:
            if time.monotonic() > deadline:
                raise
