"""`TransactionLog`: what it keeps, and where."""

import contextlib
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)
from tests.drivers import APP, both_drivers, ferromongo_only, package
from tests.server.transaction_log.logs import (
    commands,
    leave_in_doubt,
    summary,
)

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction_log import TransactionLog


@both_drivers
async def test_what_became_of_each_transaction(driver, mongodb_uri, mongodb_database_name):
    log = TransactionLog()
    async with driver.client(mongodb_uri, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        async with client.start_session() as session:
            async with await session.start_transaction():
                await collection.insert_one({"_id": 2}, session=session)
                await collection.update_one({"_id": 2}, {"$set": {"a": 1}}, session=session)
            await session.start_transaction()
            await session.commit_transaction()  # empty: the server has not heard of it
            with contextlib.suppress(KeyError):
                async with await session.start_transaction():
                    await collection.find_one({}, session=session)
                    raise KeyError
            with pytest.raises(DuplicateKeyError):
                async with await session.start_transaction():
                    await collection.insert_one({"_id": 1}, session=session)
            assert summary(log) == [
                ("ended", "committed", ["insert", "update"]),
                ("ended", "aborted", ["find"]),
                ("ended", "aborted", ["insert"]),
            ]
            committed, aborted, failed = log
            assert committed.session_id == session.session_id["id"].as_uuid()
    assert [entry.error for entry in (committed, aborted)] == [None, None]
    assert failed.error.code == 11000
    assert committed.statements[0].namespace == f"{mongodb_database_name}.c"
    assert committed.statements[0].body is None
    assert committed.number < aborted.number < failed.number
    assert committed.process == os.getpid()
    assert committed.commits == 1
    assert timedelta(0) <= committed.duration
    assert abs(datetime.now(UTC) - committed.started) < timedelta(hours=1)
    assert not log.unfinished()
    assert len(log) == len(log.to_dicts()) == 3
    assert log.to_dicts()[0]["outcome"] == "committed"
    assert "DuplicateKey" in log._repr_html_() or "E11000" in log._repr_html_()


@both_drivers
async def test_each_attempt_is_an_entry(driver, mongodb_uri, mongodb_database_name, fail):
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1})
        transient = {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}
        with fail("update", times=1, **transient):
            async with client.start_session() as session:

                async def change(session):
                    await collection.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)

                await session.with_transaction(change)
        with fail("commitTransaction", times=1, **transient):

            async def join():
                await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})

            await client.run_atomic(join)
        assert [(entry.outcome, commands(entry), entry.attempt) for entry in log] == [
            ("aborted", ["update"], 1),
            ("committed", ["update"], 2),
        ] * 2
        # They have not failed: they were made again.
        assert await client.list_sessions(failed=True) == []
        with fail("update", times=3, **transient):
            with pytest.raises(OperationFailure):
                await client.run_atomic(join, max_attempts=2)
            async with client.start_session() as session:
                await session.start_transaction()
                with pytest.raises(OperationFailure):
                    await collection.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
                await session.abort_transaction()
        assert [(entry.outcome, entry.attempt) for entry in log][4:] == [
            ("aborted", 1),
            ("aborted", 2),
            ("aborted", 0),
        ]
        sessions = await client.list_sessions(failed=True)
        assert [session.transaction for session in sessions] == log.entries()[5:]


@both_drivers
async def test_commands_are_captured_with_their_documents(
    driver, mongodb_uri, mongodb_database_name
):
    log = TransactionLog(capture="full")
    async with driver.client(mongodb_uri, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        async with client.start_session() as session, await session.start_transaction():
            await collection.insert_many([{"_id": 1}, {"_id": 2}], session=session)
            await collection.delete_one({"_id": 1}, session=session)
            await collection.find_one_and_update({"_id": 2}, {"$set": {"a": 1}}, session=session)
            await collection.bulk_write(
                [
                    package.InsertOne({"_id": 3}),
                    package.UpdateOne({"_id": 3}, {"$set": {"a": 1}}),
                ],
                session=session,
            )
            await collection.find({"a": 1}).to_list()
    [entry] = log
    assert commands(entry) == ["insert", "delete", "findAndModify", "insert", "update"]
    assert {entry, *log} == {entry}
    bodies = [statement.body for statement in entry.statements]
    assert bodies[0]["insert"] == "c"
    assert bodies[0]["documents"] == [{"_id": 1}, {"_id": 2}]
    assert bodies[1]["deletes"] == [{"q": {"_id": 1}, "limit": 1}]
    assert bodies[2]["update"] == {"$set": {"a": 1}}
    assert bodies[4]["updates"][0]["q"] == {"_id": 3}
    for body in bodies:
        assert not {"lsid", "txnNumber", "autocommit", "startTransaction", "$db"} & set(body)


@both_drivers
async def test_a_file_outlives_its_process(driver, mongodb_uri, mongodb_database_name, path):
    with TransactionLog(path) as log:
        async with driver.client(mongodb_uri, transaction_log=log) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 0})
            for number in range(1, 4):
                async with client.start_session() as session, await session.start_transaction():
                    await collection.insert_one({"_id": number}, session=session)
            before = list(log)
            # Another process may read meanwhile.
            assert TransactionLog.read(path) == before
    assert path.stat().st_mode & 0o777 == 0o600
    with TransactionLog(path) as log:
        assert list(log) == before
        assert repr(log) == f"<TransactionLog {str(path)!r}: 3 transactions>"
        async with driver.client(mongodb_uri, transaction_log=log) as client:
            collection = client[mongodb_database_name].c
            async with client.start_session() as session, await session.start_transaction():
                await collection.insert_one({"_id": 4}, session=session)
        assert len(log) == 4
    assert len(TransactionLog.read(path)) == 4


def test_a_file_has_one_writer(path):
    with TransactionLog(path), pytest.raises(ConfigurationError, match=r"transactions\.log"):
        TransactionLog(path)
    program = f"""
from ferromongo import TransactionLog
from pymongo.errors import ConfigurationError
try:
    TransactionLog({str(path)!r})
except ConfigurationError as error:
    print(error)
"""
    with TransactionLog(path):
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
    assert str(path) in ran.stdout
    TransactionLog(path).close()


@both_drivers
async def test_a_torn_end_is_cut_off_and_damage_is_an_error(
    driver, mongodb_uri, mongodb_database_name, path
):
    with TransactionLog(path) as log:
        async with driver.client(mongodb_uri, transaction_log=log) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 0})
            for number in range(1, 3):
                async with client.start_session() as session, await session.start_transaction():
                    await collection.insert_one({"_id": number}, session=session)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x12\x34")
    with TransactionLog(path) as log:
        assert [entry.outcome for entry in log] == ["committed"] * 2
    # The record that says how the last one ended is not complete.
    path.write_bytes(whole[:-5])
    assert [entry.state for entry in TransactionLog.read(path)] == ["ended", "committing"]
    with TransactionLog(path) as log:
        assert len(log.unfinished()) == 1
    path.write_bytes(whole[:60] + b"XXXX" + whole[64:])
    with pytest.raises(PyMongoError, match=r"transactions\.log"):
        TransactionLog(path)
    with pytest.raises(PyMongoError, match=r"transactions\.log"):
        TransactionLog.read(path)
    assert path.read_bytes() == whole[:60] + b"XXXX" + whole[64:]


@both_drivers
async def test_a_large_file_is_rotated(driver, mongodb_uri, mongodb_database_name, path, fail):
    with TransactionLog(path, max_bytes=4000) as log:
        async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 0})
            await leave_in_doubt(client, collection, fail, {"_id": "doubt"})
            for number in range(1, 30):
                async with client.start_session() as session, await session.start_transaction():
                    await collection.insert_one({"_id": number}, session=session)
        assert len(log) == 30
    assert path.stat().st_size < 8000
    assert path.with_name("transactions.log.1").exists()
    with TransactionLog(path) as log:
        # What is in doubt stays in the file.
        [entry] = log.unfinished()
        assert entry.outcome == "unknown"
        async with driver.client(mongodb_uri) as client:
            await client.recover_transactions(log)


@both_drivers
async def test_memory_keeps_the_newest(driver, mongodb_uri, mongodb_database_name, fail):
    log = TransactionLog(capacity=2)
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        await leave_in_doubt(client, collection, fail, {"_id": "doubt"})
        for number in range(1, 6):
            async with client.start_session() as session, await session.start_transaction():
                await collection.insert_one({"_id": number}, session=session)
        assert [entry.outcome for entry in log] == ["unknown", "committed", "committed"]
        await client.recover_transactions(log)


@both_drivers
async def test_a_closed_log_refuses_transactions(driver, mongodb_uri, mongodb_database_name, path):
    log = TransactionLog(path)
    async with driver.client(mongodb_uri, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_one({"_id": 1}, session=session)
            log.close()
            with pytest.raises(PyMongoError):
                await session.commit_transaction()
            await session.start_transaction()
            with pytest.raises(PyMongoError):
                await collection.insert_one({"_id": 2}, session=session)
        # Outside of transactions nothing is logged.
        await collection.insert_one({"_id": 3})
        assert await collection.distinct("_id") == [0, 3]
    [entry] = TransactionLog.read(path)
    assert entry.state == "open"


@both_drivers
async def test_what_is_known_is_not_overwritten(driver, mongodb_uri, mongodb_database_name):
    log = TransactionLog()
    async with driver.client(mongodb_uri, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        async with client.start_session() as session:
            async with await session.start_transaction():
                await collection.insert_one({"_id": 1}, session=session)
            await session.start_transaction()
            await collection.insert_one({"_id": 2}, session=session)
            committed, living = log
            with pytest.raises(InvalidOperation, match="was committed"):
                log.resolve(committed, "aborted")
            with pytest.raises(InvalidOperation, match="still has"):
                log.resolve(living, "aborted")
            await session.commit_transaction()
        assert [entry.outcome for entry in log] == ["committed", "committed"]


@both_drivers
async def test_a_line_is_logged_for_each_transaction(
    driver, mongodb_uri, mongodb_database_name, fail, caplog
):
    caplog.set_level(logging.INFO, "ferromongo.transaction")
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        async with client.start_session() as session, await session.start_transaction():
            await collection.insert_one({"_id": 1}, session=session)
        await leave_in_doubt(client, collection, fail, {"_id": 2})

        async def fails():
            await collection.insert_one({"_id": 0})

        with pytest.raises(DuplicateKeyError):
            await client.run_atomic(fails)
        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_one({"_id": 3}, session=session)
        records = [record for record in caplog.records if record.name == "ferromongo.transaction"]
        await client.recover_transactions(log)
    assert [record.levelname for record in records] == ["INFO", "WARNING", "INFO", "INFO"]
    outcomes = ["committed", "unknown", "aborted", "aborted"]
    for record, outcome in zip(records, outcomes, strict=True):
        assert f" {outcome} after " in record.getMessage()
        assert f"insert {mongodb_database_name}.c" in record.getMessage()
