"""`recover_transactions`, and what is done with what it finds out."""

import json
import subprocess
import sys

import pytest
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)
from tests.drivers import APP, both_drivers, ferromongo_only, package
from tests.server.transaction_log.logs import (
    CUT_TWICE,
    abort_at_the_server,
    commands,
    leave_in_doubt,
)

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction_log import TransactionLog


@both_drivers
async def test_a_commit_in_doubt_is_committed(
    driver, mongodb_uri, mongodb_database_name, path, fail
):
    with TransactionLog(path) as log:
        async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 0})
            await leave_in_doubt(client, collection, fail, {"_id": 1})
        [entry] = log
        assert (entry.state, entry.outcome) == ("ended", "unknown")
        assert "UnknownTransactionCommitResult" in entry.error.labels
    with TransactionLog(path) as log:
        async with driver.client(mongodb_uri) as client:
            report = await client.recover_transactions(log)
            assert [found.outcome for found in report] == ["committed"]
            assert not await client.recover_transactions(log)
            assert await client[mongodb_database_name].c.distinct("_id") == [0, 1]
        [entry] = log
        assert (entry.state, entry.outcome) == ("ended", "committed")
    assert [entry.outcome for entry in TransactionLog.read(path)] == ["committed"]


@both_drivers
async def test_what_the_server_does_not_have_is_aborted(
    driver, mongodb_uri, mongodb_database_name, fail
):
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        await leave_in_doubt(client, collection, fail, {"_id": 1})
        await abort_at_the_server(client)
        [found] = await client.recover_transactions(log)
        assert (found.outcome, found.error.code) == ("aborted", 251)
        assert not await client.recover_transactions(log)
        assert await collection.distinct("_id") == [0]


@both_drivers
async def test_what_was_open_is_aborted(driver, mongodb_uri, mongodb_database_name, path):
    with TransactionLog(path) as log:
        client = driver.client(mongodb_uri, transaction_log=log)
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        session = client.start_session()
        await session.start_transaction()
        await collection.insert_one({"_id": 1}, session=session)
        # It is this process's, which may still commit it.
        assert not await client.recover_transactions(log, replay=print)
        assert session.in_transaction
    with TransactionLog(path) as log:  # as in the next process
        async with driver.client(mongodb_uri) as other:
            [found] = await other.recover_transactions(log)
            assert (found.entry.state, found.outcome) == ("open", "aborted")
            # Its lock is free.
            await other[mongodb_database_name].c.insert_one({"_id": 1})
    with pytest.raises(PyMongoError):
        await session.commit_transaction()
    await client.close()


@both_drivers
async def test_what_was_not_committed_is_run_again(
    driver, mongodb_uri, mongodb_database_name, fail
):
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        await leave_in_doubt(client, collection, fail, {"_id": 1})
        await abort_at_the_server(client)
        calls = []

        async def again(entry, session):
            calls.append(commands(entry))
            await collection.insert_one({"_id": 1, "again": True}, session=session)
            if len(calls) == 1:
                error = OperationFailure("try again")
                error._add_error_label("TransientTransactionError")
                raise error

        report = await client.recover_transactions(log, replay=again)
        [found] = report
        assert (found.outcome, found.replayed, found.replay_error) == ("aborted", True, None)
        assert report.replayed == [found]
        assert calls == [["insert"]] * 2
        assert await collection.find_one({"_id": 1}) == {"_id": 1, "again": True}
        assert not await client.recover_transactions(log, replay=again)
        assert [(entry.outcome, entry.replayed) for entry in log] == [
            ("aborted", True),
            ("aborted", False),
            ("committed", False),
        ]


@both_drivers
async def test_a_log_is_recovered_by_one_call_at_a_time(
    driver, mongodb_uri, mongodb_database_name, fail
):
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        await leave_in_doubt(client, collection, fail, {"_id": 1})
        await abort_at_the_server(client)

        async def again(entry, session):
            with pytest.raises(InvalidOperation, match="another call"):
                await client.recover_transactions(log, replay=again)
            await collection.insert_one({"_id": 1}, session=session)

        [found] = await client.recover_transactions(log, replay=again)
        assert (found.replayed, found.replay_error) == (True, None)
        assert not await client.recover_transactions(log)


@both_drivers
async def test_captured_writes_are_made_again(driver, mongodb_uri, mongodb_database_name, fail):
    log = TransactionLog(capture="full")
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n, "n": 0} for n in range(4)])
        with fail("commitTransaction", **CUT_TWICE):
            async with client.start_session() as session:
                await session.start_transaction()
                await collection.insert_many([{"_id": 10}, {"_id": 11}], session=session)
                await collection.update_many({"n": 0}, {"$inc": {"n": 1}}, session=session)
                await collection.delete_one({"_id": 0}, session=session)
                await collection.find_one_and_update(
                    {"_id": 1}, {"$set": {"a": 1}}, session=session
                )
                await collection.find_one({}, session=session)
                with pytest.raises(ConnectionFailure):
                    await session.commit_transaction()
        await abort_at_the_server(client)
        [found] = await client.recover_transactions(log, replay=True)
        assert (found.replayed, found.replay_error) == (True, None)
        assert [document async for document in collection.find().sort("_id")] == [
            {"_id": 1, "n": 1, "a": 1},
            {"_id": 2, "n": 1},
            {"_id": 3, "n": 1},
            {"_id": 10},
            {"_id": 11},
        ]


@both_drivers
async def test_a_failure_of_the_second_run_is_reported(
    driver, mongodb_uri, mongodb_database_name, fail
):
    log = TransactionLog(capture="full")
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        await leave_in_doubt(client, collection, fail, {"_id": 1})
        await abort_at_the_server(client)
        await collection.insert_one({"_id": 1})
        [found] = await client.recover_transactions(log, replay=True)
        assert (found.outcome, found.replayed) == ("aborted", False)
        assert "E11000" in str(found.replay_error.details)
        assert not await client.recover_transactions(log, replay=True)
        log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await leave_in_doubt(client, collection, fail, {"_id": 2})
        await abort_at_the_server(client)
        [found] = await client.recover_transactions(log, replay=True)
        assert isinstance(found.replay_error, ConfigurationError)
        # It can be run again in the other way.
        again = []
        [found] = await client.recover_transactions(log, lambda entry, session: again.append(entry))
        assert (found.replayed, len(again)) == (True, 1)
        assert not await client.recover_transactions(log)


@both_drivers
async def test_a_session_that_went_on_does_not_know_its_earlier_transaction(
    driver, mongodb_uri, mongodb_database_name, fail
):
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        async with client.start_session() as session:
            with fail("commitTransaction", **CUT_TWICE):
                await session.start_transaction()
                await collection.insert_one({"_id": 1}, session=session)
                with pytest.raises(ConnectionFailure):
                    await session.commit_transaction()
            await session.start_transaction()
            await collection.insert_one({"_id": 2}, session=session)
            await session.commit_transaction()
        [found] = await client.recover_transactions(log)
        assert (found.outcome, found.error.code) == ("unknown", 225)
        # It stays in the log, and may be decided by hand.
        [found] = await client.recover_transactions(log)
        log.resolve(found.entry, "aborted")
        assert not await client.recover_transactions(log)


@both_drivers
async def test_another_deployment_is_not_asked(
    driver, mongodb_uri, mongodb_database_name, path, fail
):
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 0})
        await leave_in_doubt(client, collection, fail, {"_id": 1})
        with package.embedded.ReplicaSet() as other:
            async with driver.client(other.uri) as stranger:
                [found] = await stranger.recover_transactions(log)
                assert found.outcome == "unknown"
                assert "it ran on the replica set" in found.error.message
        [found] = await client.recover_transactions(log)
        assert found.outcome == "committed"


@both_drivers
async def test_a_log_in_a_collection(driver, mongodb_uri, mongodb_database_name, fail):
    async with driver.client(mongodb_uri) as keeper:
        home = keeper[mongodb_database_name].log
        log = TransactionLog(getattr(home, "_target", home))
        async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 0})
            async with client.start_session() as session, await session.start_transaction():
                await collection.insert_one({"_id": 1}, session=session)
            await leave_in_doubt(client, collection, fail, {"_id": 2})
        assert [entry.outcome for entry in log] == ["committed", "unknown"]
        stored = [entry async for entry in home.find().sort("started")]
        assert [entry["outcome"] for entry in stored] == ["committed", "unknown"]
        assert set(stored[0]["_id"]) == {"lsid", "txnNumber"}
        log = TransactionLog(getattr(home, "_target", home))  # of the next process
        async with driver.client(mongodb_uri) as client:
            [found] = await client.recover_transactions(log)
            assert found.outcome == "committed"
            assert not await client.recover_transactions(log)
        stored = [entry["outcome"] async for entry in home.find().sort("started")]
        assert stored == ["committed"] * 2


@both_drivers
async def test_failed_transactions_are_sessions(driver, mongodb_uri, mongodb_database_name, fail):
    async with driver.client(mongodb_uri) as client:
        with pytest.raises(ConfigurationError, match="transaction_log"):
            await client.list_sessions(failed=True)
    log = TransactionLog()
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        database = client[mongodb_database_name]
        await database.c.insert_one({"_id": 0})
        assert await client.list_sessions(failed=True) == []
        async with client.start_session() as session:
            with pytest.raises(DuplicateKeyError):
                async with await session.start_transaction():
                    await database.c.insert_one({"_id": 0}, session=session)
            await session.start_transaction()
            await database.c.insert_one({"_id": "rolled back"}, session=session)
            await session.abort_transaction()  # on purpose
        await leave_in_doubt(client, database.c, fail, {"_id": 1})
        await leave_in_doubt(client, database.c, fail, {"_id": 2})
        sessions = await database.list_sessions(failed=True)
        # Those in doubt were committed, as it turned out.
        [session] = sessions
        assert session.transaction.error.code == 11000
        assert session.listed["_id"]["id"].as_uuid() == session.transaction.session_id
        assert await database.c.distinct("_id") == [0, 1, 2]
        async with session, await session.start_transaction():
            await database.c.insert_one({"_id": 3}, session=session)
        assert await database.list_sessions(failed=True) == []
        assert log.entries()[0].replayed


@both_drivers
async def test_wrong_arguments(driver, mongodb_uri, path):
    for arguments, options, error in [
        ((7,), {}, TypeError),
        ((), {"capacity": "many"}, TypeError),
        ((), {"capacity": -1}, ValueError),
        ((), {"capture": "all"}, ValueError),
        ((), {"max_bytes": 100}, ValueError),
        ((path,), {"max_bytes": 0}, ValueError),
        ((), {"marker": "markers"}, ValueError),
        ((), {"marker": 1}, TypeError),
    ]:
        with pytest.raises(error):
            TransactionLog(*arguments, **options)
    with pytest.raises(TypeError, match="transaction_log must be a TransactionLog"):
        driver.client(mongodb_uri, transaction_log=str(path))
    with pytest.raises(PyMongoError, match=str(path.parent / "missing")):
        TransactionLog(path.parent / "missing" / "transactions.log")
    log = TransactionLog()
    async with driver.client(mongodb_uri) as client:
        with pytest.raises(TypeError, match="needs a TransactionLog"):
            await client.recover_transactions(str(path))
        with pytest.raises(TypeError, match="replay must be"):
            await client.recover_transactions(log, replay="again")
        assert not await client.recover_transactions(log)
    assert bool(log)


def test_an_async_replay_needs_an_async_client(client):
    async def again(entry, session):
        pass

    with pytest.raises(TypeError, match="AsyncMongoClient"):
        client.recover_transactions(TransactionLog(), replay=again)


@both_drivers
async def test_the_command_line(
    driver, mongodb_uri, mongodb_database_name, path, fail, capsys, monkeypatch
):
    from ferromongo import journal

    with TransactionLog(path, capture="full") as log:
        async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
            collection = client[mongodb_database_name].c
            await collection.insert_one({"_id": 0})
            async with client.start_session() as session, await session.start_transaction():
                await collection.insert_one({"_id": 1}, session=session)
            await leave_in_doubt(client, collection, fail, {"_id": 2})
        # While it is written.
        assert journal.main([str(path)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:4] == ["started", "session", "number", "outcome"]
    assert [line.split()[4] for line in table[1:3]] == ["committed", "unknown"]
    assert table[-1] == "2 transactions"
    assert journal.main([str(path), "--unfinished"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 transaction"
    assert journal.main([str(path), "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["outcome"] for entry in entries] == ["committed", "unknown"]
    assert entries[0]["statements"][0]["body"]["documents"] == [{"_id": 1}]
    assert journal.main(["recover", str(path), "--uri", mongodb_uri]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "RecoveryReport 1 committed, 0 aborted, 0 unknown, 0 replayed"
    assert journal.main(["recover", str(path), "--uri", mongodb_uri, "--json"]) == 0
    assert capsys.readouterr().out == ""
    assert journal.main([str(path.with_name("missing"))]) == 2
    assert "missing" in capsys.readouterr().err
    ran = subprocess.run(
        [sys.executable, "-m", "ferromongo.journal", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines()[-1] == "2 transactions"


async def test_motor_recovers_a_log(mongodb_uri, mongodb_database_name, fail):
    from ferromongo.motor_asyncio import AsyncIOMotorClient

    log = TransactionLog()
    client = AsyncIOMotorClient(mongodb_uri, appName=APP, transaction_log=log)
    collection = client[mongodb_database_name].c
    await collection.insert_one({"_id": 0})
    for number in (1, 2):
        with fail("commitTransaction", **CUT_TWICE):
            async with await client.start_session() as session:
                session.start_transaction()
                await collection.insert_one({"_id": number}, session=session)
                with pytest.raises(ConnectionFailure):
                    await session.commit_transaction()
        if number == 1:
            [found] = await client.recover_transactions(log)
            assert found.outcome == "committed"
    await client.admin.command("killAllSessions", [])

    async def again(entry, session):
        await collection.insert_one({"_id": "again", "n": len(entry.statements)}, session=session)
        assert session.in_transaction

    [found] = await client.recover_transactions(log, replay=again)
    assert (found.outcome, found.replayed, found.replay_error) == ("aborted", True, None)
    assert await collection.distinct("_id") == [0, 1, "again"]
    client.close()
    assert [entry.outcome for entry in log] == ["committed", "aborted", "committed"]
