"""Transactions through several mongos: each stays on the mongos of its first command.

The cases of `pin-mongos.json`, `mongos-unpin.json` and `mongos-recovery-token.json` of the
transactions specification. Where a session is pinned shows in where its next command goes: with
eight mongos to choose from, eight commands that need not stay would scatter.
"""

import contextlib

import pytest
from pymongo.errors import AutoReconnect, OperationFailure
from tests.drivers import both_drivers, eventually, ferromongo_only
from tests.fault.peer import Peer, cut
from tests.fault.peer_answers import mongos

TRANSIENT = {
    "ok": 0, "code": 24, "errmsg": "a lock", "errorLabels": ["TransientTransactionError"],
}  # fmt: skip

REFUSED = {
    "ok": 0, "code": 462, "errmsg": "busy", "baseBackoffMS": 1,
    "errorLabels": ["SystemOverloadedError", "RetryableError"],
}  # fmt: skip


@contextlib.asynccontextmanager
async def sharded(driver):
    """Eight mongos, all known to a client, and a session of it."""
    with Peer(mongos, addresses=8) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(3)]
        async with driver.client(peer.uri(localThresholdMS=10000)) as client:
            await client.admin.command("ping")
            await eventually(driver, lambda: len(client.nodes) == 8)
            async with client.start_session() as session:
                yield peer, client.db.c, session


def places(peer, *commands):
    return [request.address for request in peer.of(*commands)]


async def scatter(peer, collection, session):
    """Eight operations that need not stay anywhere."""
    before = len(peer.of("insert"))
    for _ in range(8):
        await collection.insert_one({}, session=session)
    return len(set(places(peer, "insert")[before:])) > 1


@both_drivers
async def test_all_statements_go_to_one_mongos(driver):
    async with sharded(driver) as (peer, collection, session):
        for _ in range(2):
            await session.start_transaction()
            for n in range(4):
                await collection.insert_one({"_id": n}, session=session)
                await collection.find_one({}, session=session)
                assert len(await collection.find(batch_size=2, session=session).to_list()) == 3
                await collection.aggregate([], session=session)
            await session.commit_transaction()
            await session.commit_transaction()
            requests = peer.of("insert", "find", "aggregate", "getMore", "commitTransaction")
            peer.requests.clear()
            assert len(requests) == 22
            assert len({request.address for request in requests}) == 1
            tokens = [r.document.get("recoveryToken") for r in requests]
            assert tokens[-2:] == [{"recoveryId": requests[0].address}] * 2
            assert not any(tokens[:-2])


@both_drivers
async def test_what_is_outside_of_transactions_scatters(driver):
    async with sharded(driver) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        await session.commit_transaction()
        assert await scatter(peer, collection, session)


@pytest.mark.parametrize("answer", [TRANSIENT, cut(0)], ids=["transient", "cut"])
@both_drivers
async def test_a_transient_error_unpins(driver, answer):
    async with sharded(driver) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        peer.once("insert", answer)
        with pytest.raises((OperationFailure, AutoReconnect)) as failure:
            await collection.insert_one({}, session=session)
        assert failure.value.has_error_label("TransientTransactionError")
        await session.abort_transaction()
        (abort,) = peer.of("abortTransaction")
        assert abort.document["recoveryToken"] == {"recoveryId": places(peer, "insert")[0]}


@both_drivers
async def test_another_error_does_not_unpin(driver):
    async with sharded(driver) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        peer.once("insert", {"ok": 0, "code": 51, "errmsg": "no"})
        with pytest.raises(OperationFailure):
            await collection.insert_one({}, session=session)
        peer.once("commitTransaction", {"ok": 0, "code": 51, "errmsg": "no"})
        with pytest.raises(OperationFailure):
            await session.commit_transaction()
        for _ in range(8):
            await session.commit_transaction()
        assert len(set(places(peer, "insert", "commitTransaction"))) == 1


@pytest.mark.parametrize("command", ["commitTransaction", "abortTransaction"])
@both_drivers
async def test_a_cut_end_is_sent_again_to_another_mongos(driver, command):
    async with sharded(driver) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        peer.once(command, cut(0))
        end = session.commit_transaction if "commit" in command else session.abort_transaction
        await end()
        first, second = peer.of(command)
        assert first.address == places(peer, "insert")[0] != second.address
        token = {"recoveryId": first.address}
        assert [request.document["recoveryToken"] for request in (first, second)] == [token] * 2


@both_drivers
async def test_a_transient_error_of_the_commit_unpins(driver):
    async with sharded(driver) as (peer, collection, session):
        for _ in range(8):
            await session.start_transaction()
            await collection.insert_one({}, session=session)
            peer.once("commitTransaction", TRANSIENT)
            with pytest.raises(OperationFailure) as failure:
                await session.commit_transaction()
            assert not failure.value.has_error_label("UnknownTransactionCommitResult")
            await session.commit_transaction()
        commits = places(peer, "commitTransaction")
        assert commits[::2] == places(peer, "insert")
        assert commits[1::2] != commits[::2]


@pytest.mark.parametrize("answer", [None, TRANSIENT], ids=["success", "error"])
@both_drivers
async def test_an_abort_unpins(driver, answer):
    async with sharded(driver) as (peer, collection, session):
        begun = set()
        for _ in range(8):
            await session.start_transaction()
            await collection.insert_one({}, session=session)
            if answer is not None:
                peer.once("abortTransaction", answer)
            await session.abort_transaction()
            began, ended = places(peer, "insert")[-1], places(peer, "abortTransaction")[-1]
            assert began == ended
            begun.add(began)
        assert len(begun) > 1


@both_drivers
async def test_a_new_transaction_has_no_token_of_the_last(driver):
    async with sharded(driver) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        await session.commit_transaction()
        await session.start_transaction()
        peer.once("insert", {"ok": 1, "n": 1})
        await collection.insert_one({}, session=session)
        await session.commit_transaction()
        first, second = peer.of("commitTransaction")
        assert "recoveryToken" in first.document
        assert "recoveryToken" not in second.document


@both_drivers
async def test_a_transaction_refused_at_its_begin_may_begin_elsewhere(driver):
    async with sharded(driver) as (peer, collection, session):
        await session.start_transaction()
        peer.once("insert", REFUSED)
        await collection.insert_one({}, session=session)
        refused, begun = peer.of("insert")
        assert refused.address != begun.address
        assert refused.document["startTransaction"] is begun.document["startTransaction"] is True
        await session.commit_transaction()
        assert places(peer, "commitTransaction") == [begun.address]


@ferromongo_only
@both_drivers
async def test_a_later_statement_that_is_refused_stays(driver):
    """PyMongo unpins for the retry of a write: a mongos that knows nothing of the transaction."""
    async with sharded(driver) as (peer, collection, session):
        await session.start_transaction()
        await collection.insert_one({}, session=session)
        peer.once("insert", REFUSED)
        await collection.insert_one({}, session=session)
        await session.commit_transaction()
        assert len(set(places(peer, "insert", "commitTransaction"))) == 1
        assert [r.document.get("startTransaction") for r in peer.of("insert")] == [True, None, None]
