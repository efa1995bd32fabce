"""What a fail point of the server raises: the same exception from ferromongo as from PyMongo."""

import pymongo
import pytest
from pymongo.errors import PyMongoError

import ferromongo

WRITE_CONCERN_ERROR = {"code": 100, "errmsg": "not enough members", "errInfo": {"a": 1}}
CALLS = {
    "insert_one": lambda c, session: c.insert_one({}, session=session),
    "insert_many": lambda c, session: c.insert_many([{}, {}], session=session),
    "update_one": lambda c, session: c.update_one({}, {"$set": {"x": 1}}, session=session),
    "delete_one": lambda c, session: c.delete_one({}, session=session),
    "find_one_and_delete": lambda c, session: c.find_one_and_delete({}, session=session),
}
COMMANDS = {
    "insert_one": "insert",
    "insert_many": "insert",
    "update_one": "update",
    "delete_one": "delete",
    "find_one_and_delete": "findAndModify",
}


@pytest.mark.parametrize("labels", [None, ["Odd"], ["RetryableWriteError"]], ids=str)
@pytest.mark.parametrize("call", CALLS)
def test_write_concern_errors(call, labels, mongodb_replica_set, mongodb_database_name):
    fault = {"writeConcernError": WRITE_CONCERN_ERROR}
    if labels is not None:
        fault["errorLabels"] = labels
    assert_same(mongodb_replica_set, mongodb_database_name, COMMANDS[call], fault, CALLS[call])


@pytest.mark.parametrize("code", [6, 64, 91, 189, 251, 10107])
@pytest.mark.parametrize("call", ["insert_one", "insert_many", "find_one_and_delete"])
def test_command_errors(call, code, mongodb_replica_set, mongodb_database_name):
    fault = {"errorCode": code}
    assert_same(mongodb_replica_set, mongodb_database_name, COMMANDS[call], fault, CALLS[call])


@pytest.mark.parametrize(
    "fault",
    [
        *[{"errorCode": code} for code in (6, 50, 91, 189, 251, 10107)],
        {"writeConcernError": WRITE_CONCERN_ERROR},
        *[{"writeConcernError": {**WRITE_CONCERN_ERROR, "code": code}} for code in (50, 64)],
        {"writeConcernError": WRITE_CONCERN_ERROR, "errorLabels": ["Odd"]},
        {"closeConnection": True},
    ],
    ids=str,
)
def test_commit(fault, mongodb_replica_set, mongodb_database_name):
    def commit(collection, session):
        session.start_transaction()
        collection.insert_one({}, session=session)
        session.commit_transaction()

    def again(session):
        session.commit_transaction()

    command = "commitTransaction"
    assert_same(mongodb_replica_set, mongodb_database_name, command, fault, commit, again)


@pytest.mark.parametrize(
    "fault", [{"errorCode": 112}, {"errorCode": 91}, {"closeConnection": True}]
)
def test_first_statement(fault, mongodb_replica_set, mongodb_database_name):
    def insert(collection, session):
        session.start_transaction()
        collection.insert_one({}, session=session)

    assert_same(mongodb_replica_set, mongodb_database_name, "insert", fault, insert)


def assert_same(replica_set, database, command, fault, call, afterwards=lambda session: None):
    outcomes = []
    # PyMongo waits for the next heartbeat after a change of primary.
    options = {"heartbeatFrequencyMS": 500}
    for package in (pymongo, ferromongo):
        with package.MongoClient(replica_set.uri, **options) as client:
            client.drop_database(database)
            client[database].c.insert_one({})
            with client.start_session() as session:
                with replica_set.failpoint(failCommands=[command], **fault):
                    try:
                        call(client[database].c, session)
                        outcomes.append("no error")
                    except PyMongoError as error:
                        outcomes.append(described(error))
                afterwards(session)
    assert outcomes[1] == outcomes[0]


def described(error):
    details = getattr(error, "details", None)
    if isinstance(details, dict):
        details = {key: value for key, value in details.items() if key not in VARYING}
    labels = [label for label in LABELS if error.has_error_label(label)]
    return type(error).__name__, getattr(error, "code", None), labels, repr(details)


VARYING = {"operationTime", "$clusterTime", "topologyVersion", "electionId", "opTime", "op"}
LABELS = [
    "Odd",
    "RetryableWriteError",
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
]
