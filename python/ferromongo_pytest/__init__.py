"""The pytest plugin: a real MongoDB server for the session, a database of its own for each test.

pytest imports this package in every run of a Python that has ferromongo. So it imports nothing of
ferromongo, PyMongo or bson, and starts nothing, until a test asks for one of its fixtures.
docs/testing.md describes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ferromongo import AsyncMongoClient, MongoClient
    from ferromongo.asynchronous.client_session import AsyncClientSession
    from ferromongo.asynchronous.database import AsyncDatabase
    from ferromongo.client_session import ClientSession
    from ferromongo.database import Database
    from ferromongo.embedded import ReplicaSet


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "mongodb_members",
        "members of the replica set that ferromongo starts for the tests; 3 for tests of fail-over",
        default="1",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of pytest-xdist, in its controller, for each worker: all share one replica set."""
    lender = node.config.stash.get(_LENDER, None)
    if lender is None:
        from ferromongo_pytest._lender import Lender

        lender = node.config.stash[_LENDER] = Lender(_members(node.config))
    node.workerinput[WORKERINPUT] = lender.address


def pytest_unconfigure(config: pytest.Config) -> None:
    if (lender := config.stash.get(_LENDER, None)) is not None:
        lender.close()


@pytest.fixture(scope="session")
def mongodb_replica_set(request: pytest.FixtureRequest) -> Iterator[ReplicaSet]:
    """A replica set for the session, shared by the workers of pytest-xdist.

    It has one member, or as many as the ini option `mongodb_members` says.
    """
    from ferromongo.embedded import BinaryNotFound, ReplicaSet, ServerFailed

    problem = None
    try:
        address = getattr(request.config, "workerinput", {}).get(WORKERINPUT)
        # A worker on another machine starts one of its own.
        if address is not None and os.path.exists(address):
            from ferromongo_pytest._borrower import borrow

            replica_set = borrow(address)
        else:
            replica_set = ReplicaSet(members=_members(request.config)).start()
    except (BinaryNotFound, ServerFailed) as error:
        problem = error
    if problem is not None:
        # pytest keeps it for the other tests, which fail at once.
        hint = f"To use a server that runs, set {TEST_URI} to its connection string."
        pytest.fail(f"{problem}\n{hint}", pytrace=False)
    try:
        yield replica_set
    finally:
        replica_set.close()


@pytest.fixture(scope="session")
def mongodb_uri(request: pytest.FixtureRequest) -> str:
    """The connection string of the tests' server: FERROMONGO_TEST_URI if set, else that of
    `mongodb_replica_set`."""
    if uri := os.environ.get(TEST_URI):
        _check_server(uri)
        return uri
    replica_set: ReplicaSet = request.getfixturevalue("mongodb_replica_set")
    return replica_set.uri


@pytest.fixture
def mongodb_database_name(request: pytest.FixtureRequest, mongodb_uri: str) -> Iterator[str]:
    """A database name that no other test uses; the database is dropped after the test."""
    import secrets

    test = re.sub(r"\W+", "_", request.node.name)
    # A database's name may have 63 bytes.
    name = f"{test.encode('ascii', 'ignore').decode()[:50]}_{secrets.token_hex(4)}"
    yield name
    _drop(mongodb_uri, name)


@pytest.fixture
def mongo_client(mongodb_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """A `ferromongo.MongoClient` of the tests' server, closed after the test."""
    from ferromongo import MongoClient

    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        yield client


@pytest.fixture
def mongo_database(
    mongo_client: MongoClient[dict[str, Any]], mongodb_database_name: str
) -> Database[dict[str, Any]]:
    """An empty database of the test's own, dropped after the test."""
    return mongo_client[mongodb_database_name]


@pytest.fixture
def mongo_rollback(
    mongo_client: MongoClient[dict[str, Any]], mongodb_database_name: str
) -> Iterator[ClientSession]:
    """A session in a transaction that is rolled back after the test.

    It is bound: operations of `mongo_client` without `session=` run in it too.
    """
    # `mongodb_database_name` is asked for so that the database is dropped after the roll-back:
    # a drop waits for open transactions.
    with mongo_client.start_session() as session:
        session.start_transaction()
        with session.bind(end_session=False):
            yield session


@pytest.fixture
def async_mongo_client(mongodb_uri: str) -> Iterator[AsyncMongoClient[dict[str, Any]]]:
    """A `ferromongo.AsyncMongoClient` of the tests' server, closed after the test.

    It works in the event loop of any plugin and scope, since it belongs to none.
    """
    from ferromongo import AsyncMongoClient
    from ferromongo_pytest._coroutines import in_another_thread

    client = AsyncMongoClient[dict[str, Any]](mongodb_uri)
    yield client
    in_another_thread(client.close())


@pytest.fixture
def async_mongo_database(
    async_mongo_client: AsyncMongoClient[dict[str, Any]], mongodb_database_name: str
) -> AsyncDatabase[dict[str, Any]]:
    """An empty database of the test's own, dropped after the test."""
    return async_mongo_client[mongodb_database_name]


@pytest.fixture
def async_mongo_rollback(
    async_mongo_client: AsyncMongoClient[dict[str, Any]], mongodb_database_name: str
) -> Iterator[AsyncClientSession]:
    """A session in a transaction that is rolled back after the test.

    It is bound: operations of `async_mongo_client` without `session=` run in it too.
    """
    from ferromongo_pytest._coroutines import at_once, in_another_thread

    session = async_mongo_client.start_session()
    at_once(session.start_transaction())
    bound = session.bind(end_session=False)
    at_once(bound.__aenter__())
    yield session
    at_once(bound.__aexit__(None, None, None))
    in_another_thread(session.end_session())


def _members(config: pytest.Config) -> int:
    text = config.getini("mongodb_members")
    if not text.isdecimal() or int(text) < 1:
        raise pytest.UsageError(f"mongodb_members must be a number from 1 on, not {text!r}")
    return int(text)


def _check_server(uri: str) -> None:
    """Fails if no server answers. The default of 30 seconds, in each test, would be a long wait."""
    from pymongo.errors import ConnectionFailure, PyMongoError

    from ferromongo import MongoClient

    options: dict[str, Any] = {"serverSelectionTimeoutMS": 5000}
    if "serverselectiontimeoutms" in uri.lower():
        options = {}
    problem = None
    try:
        with MongoClient[dict[str, Any]](uri, **options) as client:
            client.admin.command("ping")
    except ConnectionFailure as error:
        problem = f"no server answers at {TEST_URI}: {error}"
    except (PyMongoError, ValueError, TypeError) as error:
        problem = f"{TEST_URI} cannot be used: {error}"
    if problem:
        # pytest keeps it for the other tests, which fail at once.
        pytest.fail(problem, pytrace=False)


def _drop(uri: str, name: str) -> None:
    import time

    from pymongo.errors import ConnectionFailure

    from ferromongo import MongoClient

    # dropDatabase is not retryable, and the test may just have killed the primary.
    deadline = time.monotonic() + 30
    while True:
        try:
            with MongoClient[dict[str, Any]](uri) as client:
                client.drop_database(name)
            return
        except ConnectionFailure:
            if time.monotonic() > deadline:
                raise


TEST_URI = "FERROMONGO_TEST_URI"
WORKERINPUT = "ferromongo_replica_set"
"""What a worker of pytest-xdist is given: where it borrows the replica set of all workers."""
_LENDER = pytest.StashKey[Any]()
