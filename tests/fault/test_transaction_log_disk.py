"""The transaction log's engine: what is on the disk when a commit is sent, and what happens if it
cannot be written. `tests/rust/transaction_log.rs` has a disk that fails to sync."""

import contextlib
import logging
import os
import resource

import bson
import pytest
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
)
from tests.drivers import APP, both_drivers, eventually, ferromongo_only, package
from tests.fault.peer import Peer
from tests.fault.peer_answers import mongos, ordinary, replica_set
from tests.fault.programs import run

if package.__name__ == "ferromongo":
    from ferromongo._core import Journal
    from ferromongo.transaction_log import TransactionLog, TransactionLogError

pytestmark = ferromongo_only
RETRYABLE = {
    "ok": 0,
    "code": 189,
    "errmsg": "stepping down",
    "errorLabels": ["RetryableWriteError"],
}
BUSY = {
    "ok": 0, "code": 462, "errmsg": "busy", "baseBackoffMS": 1,
    "errorLabels": ["SystemOverloadedError", "RetryableError"],
}  # fmt: skip


def logged(path=None, *, full=False, marker=False):
    return TransactionLog(path, capture="full" if full else "commands", marker=marker)


def entries(of):
    """As the engine has them."""
    encoded = of._core.entries() if isinstance(of, TransactionLog) else Journal.read(str(of))
    return [bson.decode(entry) for entry in encoded]


def commands(entry):
    return [statement["command"] for statement in entry["statements"]]


@contextlib.asynccontextmanager
async def scripted(driver, log, role=replica_set):
    """A peer, a client of it with a log, and a session."""
    with Peer(role) as peer:
        async with (
            driver.client(peer.uri(), transaction_log=log) as client,
            client.start_session() as session,
        ):
            yield peer, client.db.c, session


@both_drivers
async def test_the_statements_are_in_the_file_when_the_commit_arrives(driver, tmp_path):
    found = []

    def answer(request):
        found.extend(entries(tmp_path / "log"))
        return ordinary(request)

    log = logged(tmp_path / "log", full=True)
    async with scripted(driver, log) as (peer, collection, session):
        peer.on("commitTransaction", answer)
        await session.start_transaction()
        await collection.insert_many([{"_id": 1}, {"_id": 2}], session=session)
        [begun] = entries(tmp_path / "log")
        await collection.update_one({"_id": 1}, {"$set": {"a": 1}}, session=session)
        await session.commit_transaction()
    assert (begun["state"], commands(begun)) == ("open", ["insert"])
    [entry] = found
    assert (entry["state"], commands(entry)) == ("committing", ["insert", "update"])
    [request] = peer.of("commitTransaction")
    assert entry["lsid"] == request.document["lsid"]["id"]
    assert entry["txnNumber"] == request.document["txnNumber"]
    body = entry["statements"][0]["body"]
    assert body == {"insert": "c", "ordered": True, "documents": [{"_id": 1}, {"_id": 2}]}
    [ended] = entries(tmp_path / "log")
    assert (ended["outcome"], ended["commits"], commands(ended)) == (
        "committed", 1, ["insert", "update"]
    )  # fmt: skip


@both_drivers
async def test_a_commit_is_not_sent_without_a_file(driver, tmp_path):
    log = logged(tmp_path / "log")
    async with scripted(driver, log) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({"_id": 1}, session=session)
        # As a program does that closes all of its descriptors.
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}") == str(tmp_path / "log"):
                    os.close(int(name))
        with pytest.raises(TransactionLogError, match="cannot be written"):
            await session.commit_transaction()
        await eventually(driver, lambda: peer.seen["abortTransaction"] == 1)
        with pytest.raises(InvalidOperation):
            await session.commit_transaction()
        await session.start_transaction()
        with pytest.raises(TransactionLogError):
            await collection.insert_one({"_id": 2}, session=session)
        await session.abort_transaction()
        await collection.insert_one({"_id": 3})
        await collection.insert_one({"_id": 4}, session=session)
    seen = peer.seen
    assert (seen["insert"], seen["commitTransaction"], seen["abortTransaction"]) == (3, 0, 1)
    assert [entry["outcome"] for entry in entries(log)] == ["aborted"]


@both_drivers
async def test_a_full_disk_fails_a_commit_and_leaves_the_file_intact(driver, tmp_path):
    path = tmp_path / "log"
    log = logged(path)
    async with scripted(driver, log) as (peer, collection, session):
        for number in range(3):
            await session.start_transaction()
            await collection.insert_one({"_id": number}, session=session)
            if number == 1:
                limits = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, limits[1]))
                try:
                    with pytest.raises(TransactionLogError, match="File too large"):
                        await session.commit_transaction()
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            else:
                await session.commit_transaction()
    assert peer.seen["commitTransaction"] == 2
    assert [entry.get("outcome") for entry in entries(log)] == ["committed", "aborted", "committed"]
    # What could not be written has not torn what came after it. Its end could not be written
    # either: recovery would abort what is open.
    log.close()
    found = entries(path)
    assert [entry.get("outcome") for entry in found] == ["committed", None, "committed"]
    assert found[1]["state"] == "open"
    assert [commands(entry) for entry in found] == [["insert"]] * 3


@both_drivers
async def test_a_statement_is_noted_once_and_only_if_it_was_sent(driver):
    log = logged()
    async with scripted(driver, log) as (peer, collection, session):
        await session.start_transaction()
        await session.commit_transaction()
        assert entries(log) == []
        await session.start_transaction()
        peer.once("insert", BUSY, BUSY)
        await collection.insert_one({"_id": 1}, session=session)
        with pytest.raises(DocumentTooLarge):
            await collection.insert_one({"_id": 2, "x": b"x" * 17_000_000}, session=session)
        await collection.find_one({}, session=session)
        await session.commit_transaction()
    [entry] = entries(log)
    assert (entry["outcome"], commands(entry)) == ("committed", ["insert", "find"])


@both_drivers
async def test_a_commit_that_is_sent_again_has_one_entry(driver, tmp_path):
    log = logged(tmp_path / "log")
    async with scripted(driver, log, mongos) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({"_id": 1}, session=session)
        peer.once("commitTransaction", RETRYABLE, RETRYABLE)
        with pytest.raises(Exception, match="stepping down"):
            await session.commit_transaction()
        [entry] = entries(log)
        assert (entry["outcome"], entry["commits"], entry["living"]) == ("unknown", 2, True)
        assert entry["error"]["code"] == 189
        assert "UnknownTransactionCommitResult" in entry["error"]["labels"]
        assert entry["recoveryToken"] == {"recoveryId": 0}
        await session.commit_transaction()
        [entry] = entries(log)
        assert (entry["outcome"], entry["commits"]) == ("committed", 3)
        assert "error" not in entry
        assert "living" not in entry
    assert entries(tmp_path / "log")[0]["outcome"] == "committed"


@both_drivers
async def test_a_transaction_of_another_process_is_ended(driver, mongodb_uri, fail, tmp_path):
    log = logged(tmp_path / "log")
    async with driver.client(mongodb_uri, appName=APP, transaction_log=log) as client:
        collection = client.transaction_log_disk.c
        await collection.drop()
        await collection.insert_one({"_id": 0})

        async def end(entry, *, commit):
            core = getattr(client, "_target", client)._core
            pending = core.end_of_transaction(entry, commit)
            return pending.run() if driver.name == "sync" else await pending

        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_one({"_id": 1}, session=session)
            [entry] = log._core.entries()
            assert bson.decode(entry)["living"]
            outcome, error, seconds = await end(entry, commit=False)
            assert (outcome, error) == ("aborted", None)
            assert abs(seconds - bson.decode(entry)["started"].timestamp()) < 3600
            outcome, error, _ = await end(entry, commit=True)
            assert (outcome, bson.decode(error)["code"]) == ("aborted", 251)
        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_one({"_id": 2}, session=session)
            with (
                fail("commitTransaction", times=2, closeConnection=True),
                pytest.raises(AutoReconnect),
            ):
                await session.commit_transaction()
        entry = log._core.entries()[-1]
        assert bson.decode(entry)["outcome"] == "unknown"
        assert (await end(entry, commit=True))[0] == "committed"
        assert (await end(entry, commit=False))[0] == "committed"
        log._core.resolve(entry, "committed", None)
        assert await collection.distinct("_id") == [0, 2]
    assert [entry["outcome"] for entry in entries(tmp_path / "log")] == ["aborted", "committed"]


@both_drivers
async def test_a_marker_is_part_of_its_transaction(driver, mongodb_uri):
    log = logged(marker="transaction_log_disk.markers", full=True)
    async with driver.client(mongodb_uri, transaction_log=log) as client:
        database = client.transaction_log_disk
        await database.markers.drop()
        await database.c.drop()
        await database.c.insert_one({"_id": 0})
        await database.markers.insert_one({"_id": 0})
        async with client.start_session() as session, await session.start_transaction():
            await database.c.insert_one({"_id": 1}, session=session)
        async with client.start_session() as session:
            await session.start_transaction()
            await database.c.insert_one({"_id": 2}, session=session)
            await session.abort_transaction()
            await session.start_transaction()
            with pytest.raises(OperationFailure):
                await database.c.insert_one({"_id": 0}, session=session)
            with pytest.raises(OperationFailure) as refused:
                await session.commit_transaction()
            assert refused.value.has_error_label("TransientTransactionError")
        committed, *others = entries(log)
        assert commands(committed) == ["insert"]
        assert committed["marker"] == "transaction_log_disk.markers"
        key = {"lsid": committed["lsid"], "txnNumber": committed["txnNumber"]}
        [_, marker] = await database.markers.find().to_list()
        assert marker["_id"] == key
        assert [entry["outcome"] for entry in others] == ["aborted", "aborted"]
        assert others[-1]["error"]["code"] == 11000


@both_drivers
async def test_a_collection_that_cannot_be_written_fails_the_commit(driver, mongodb_uri, fail):
    async with driver.client(mongodb_uri, appName=APP) as keeper:
        home = keeper.transaction_log_disk.log
        log = TransactionLog(getattr(home, "_target", home))
        await keeper.transaction_log_disk.log.drop()
        async with driver.client(mongodb_uri, transaction_log=log) as client:
            collection = client.transaction_log_disk.c
            await collection.drop()
            await collection.insert_one({"_id": 0})
            async with client.start_session() as session:
                await session.start_transaction()
                await collection.insert_one({"_id": 1}, session=session)
                refused = pytest.raises(TransactionLogError, match=r"transaction_log_disk\.log")
                with fail("update", times=5, errorCode=13), refused:
                    await session.commit_transaction()
                await session.start_transaction()
                await collection.insert_one({"_id": 2}, session=session)
                await session.commit_transaction()
            assert await collection.distinct("_id") == [0, 2]
        stored = await keeper.transaction_log_disk.log.find_one({"outcome": "committed"})
        assert set(stored["_id"]) == {"lsid", "txnNumber"}
        assert commands(stored) == ["insert"]


@both_drivers
async def test_a_line_of_the_logger_for_each_end(driver, caplog):
    caplog.set_level(logging.INFO, "ferromongo.transaction")
    async with scripted(driver, logged()) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        await session.commit_transaction()
        caplog.set_level(logging.WARNING, "ferromongo.transaction")
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        await session.abort_transaction()
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        peer.once("commitTransaction", RETRYABLE, RETRYABLE)
        with pytest.raises(Exception, match="stepping down"):
            await session.commit_transaction()
    first, second = [one for one in caplog.records if one.name == "ferromongo.transaction"]
    assert (first.levelname, second.levelname) == ("INFO", "WARNING")
    assert "committed after" in first.getMessage()
    assert "insert db.c" in first.getMessage()
    assert second.transaction["error"]["code"] == 189


def test_a_file_is_one_processes(tmp_path):
    log = logged(tmp_path / "log")
    with pytest.raises(ConfigurationError, match="in use"):
        logged(tmp_path / "log")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        logged("/dev/null")
    with pytest.raises(TransactionLogError, match="No such file"):
        logged(tmp_path / "nowhere" / "log")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    del log
    logged(tmp_path / "log").close()


def test_a_child_writes_nothing_to_its_parents_file(tmp_path, mongodb_uri, mongodb_database_name):
    answer = run("forked_log", str(tmp_path / "log"), mongodb_uri, mongodb_database_name)
    assert answer == {
        "child": "InvalidOperation",
        "memory": ["committed"],
        "parent": ["committed", "committed"],
        "locked": True,
    }
