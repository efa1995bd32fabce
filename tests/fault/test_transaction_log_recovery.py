"""Recovery on the wire: what is sent again, and answers that do not decide."""

import asyncio

import pytest
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError
from tests.drivers import AsyncDriver, both_drivers, ferromongo_only, package
from tests.fault.peer import Peer
from tests.fault.peer_answers import mongos, replica_set

if package.__name__ == "ferromongo":
    from ferromongo.transaction_log import TransactionLog

pytestmark = ferromongo_only
GONE = {
    "ok": 0,
    "code": 251,
    "codeName": "NoSuchTransaction",
    "errmsg": "there is no such transaction",
    "errorLabels": ["TransientTransactionError"],
}
STEPPING_DOWN = {
    "ok": 0,
    "code": 189,
    "errmsg": "stepping down",
    "errorLabels": ["RetryableWriteError"],
}


async def leave_in_doubt(driver, peer, log, **concern):
    async with (
        driver.client(peer.uri(), transaction_log=log, **concern) as client,
        client.start_session() as session,
    ):
        await session.start_transaction()
        await client.db.c.insert_one({"_id": 1}, session=session)
        peer.once("commitTransaction", STEPPING_DOWN, STEPPING_DOWN)
        with pytest.raises(AutoReconnect):
            await session.commit_transaction()


@both_drivers
@pytest.mark.parametrize("role", [replica_set, mongos])
async def test_a_commit_is_sent_again_for_the_same_transaction(driver, role, tmp_path):
    path = tmp_path / "transactions.log"
    with Peer(role) as peer:
        with TransactionLog(path) as log:
            await leave_in_doubt(driver, peer, log, w=1, journal=True)
        sent = len(peer.of("commitTransaction"))
        with TransactionLog(path) as log:
            async with driver.client(peer.uri()) as client:
                [found] = await client.recover_transactions(log)
        assert found.outcome == "committed"
        first, again = peer.of("commitTransaction")[0], peer.of("commitTransaction")[sent]
        for field in ("lsid", "txnNumber", "autocommit"):
            assert again.document[field] == first.document[field]
        concern = again.document["writeConcern"]
        assert (concern["w"], concern["j"]) == ("majority", True)
        assert ("recoveryToken" in again.document) == (role is mongos)
        assert again.document.get("recoveryToken") == first.document.get("recoveryToken")


@both_drivers
async def test_what_was_open_is_only_aborted(driver, tmp_path):
    path = tmp_path / "transactions.log"
    with Peer(replica_set) as peer:
        log = TransactionLog(path)
        client = driver.client(peer.uri(), transaction_log=log)
        session = client.start_session()
        await session.start_transaction()
        await client.db.c.insert_one({"_id": 1}, session=session)
        log.close()
        with TransactionLog(path) as log:
            async with driver.client(peer.uri()) as other:
                [found] = await other.recover_transactions(log)
        assert found.outcome == "aborted"
        [abort] = peer.of("abortTransaction")
        [insert] = peer.of("insert")
        assert abort.document["txnNumber"] == insert.document["txnNumber"]
        assert peer.seen["commitTransaction"] == 0
        await session.end_session()
        await client.close()


@both_drivers
@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (GONE, "aborted"),
        # A primary that a majority has left says that, too.
        ({**GONE, "errorLabels": []}, "unknown"),
        (
            {
                **GONE,
                "errorLabels": [],
                "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"},
            },
            "unknown",
        ),
        ({"ok": 0, "code": 13, "errmsg": "not authorized"}, "unknown"),
        ({"ok": 0, "code": 225, "errmsg": "transaction number is too old"}, "unknown"),
        ({"ok": 0, "code": 50, "errmsg": "operation exceeded time limit"}, "unknown"),
        (STEPPING_DOWN, "unknown"),
        ({"ok": 1, "writeConcernError": {"code": 64, "errmsg": "timed out"}}, "unknown"),
        ({"ok": 1}, "committed"),
    ],
)
async def test_only_a_clear_answer_decides(driver, reply, outcome):
    log = TransactionLog()
    with Peer(replica_set) as peer:
        await leave_in_doubt(driver, peer, log)
        async with driver.client(peer.uri()) as client:
            sent = 2 if reply is STEPPING_DOWN else 1  # the driver retries
            peer.once("commitTransaction", *[reply] * sent)
            [found] = await client.recover_transactions(log)
            assert found.outcome == outcome
            # What is unknown is asked for again.
            again = await client.recover_transactions(log)
            assert [each.outcome for each in again] == (
                ["committed"] if outcome == "unknown" else []
            )


@both_drivers
async def test_nothing_is_decided_without_a_primary(driver):
    log = TransactionLog()
    with Peer(replica_set) as peer:
        uri = peer.uri()
        await leave_in_doubt(driver, peer, log)
    async with driver.client(uri, serverSelectionTimeoutMS=200) as client:
        with pytest.raises(ServerSelectionTimeoutError):
            await client.recover_transactions(log)
    assert [entry.outcome for entry in log.unfinished()] == ["unknown"]


async def test_a_recovery_that_is_cancelled_can_be_made_again():
    log = TransactionLog()
    with Peer(replica_set) as peer:
        await leave_in_doubt(AsyncDriver(), peer, log)
        async with package.AsyncMongoClient(peer.uri()) as client:
            peer.once("commitTransaction", GONE)
            replaying = asyncio.Event()

            async def again(entry, session):
                replaying.set()
                await asyncio.Event().wait()

            task = asyncio.ensure_future(client.recover_transactions(log, replay=again))
            await replaying.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # It was written down first, so that it is never made twice.
            assert not await client.recover_transactions(log, replay=again)
            assert [entry.outcome for entry in log] == ["aborted"]
