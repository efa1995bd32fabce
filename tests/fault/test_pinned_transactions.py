"""Behind a load balancer a transaction keeps its connection from the first command on.

The cases of `transactions.json` and `wait-queue-timeouts.json` of the load balancers specification,
and how a transaction may lose its connection otherwise.
"""

import asyncio
import gc
import signal

import pytest
from pymongo.errors import (
    AutoReconnect,
    InvalidOperation,
    OperationFailure,
    WaitQueueTimeoutError,
)
from tests.drivers import AsyncDriver, SyncDriver, both_drivers, ferromongo_only
from tests.fault.balanced import balanced, commands, holder
from tests.fault.peer import cut, delayed

TRANSIENT = {
    "ok": 0, "code": 24, "errmsg": "a lock", "errorLabels": ["TransientTransactionError"],
}  # fmt: skip
LASTING = {"ok": 0, "code": 51, "errmsg": "no"}


@both_drivers
async def test_server_sessions_are_used_again(driver):
    async with balanced(driver) as (peer, client):
        await client.db.c.insert_one({})
        await client.db.c.insert_one({})
        first, second = peer.of("insert")
        assert first.document["lsid"] == second.document["lsid"]
        assert second.document["txnNumber"] == first.document["txnNumber"] + 1


@both_drivers
async def test_every_command_goes_over_one_connection(driver):
    async with (
        balanced(driver, maxPoolSize=3) as (peer, client),
        client.start_session() as session,
    ):
        await session.start_transaction()
        for n in range(3):
            await client.db.c.insert_one({"_id": n}, session=session)
            await client.db.c.find_one({}, session=session)
            await client.db.c.insert_one({})  # outside of it
        await session.commit_transaction()
    assert commands(peer) == [["insert", "find"] * 3 + ["commitTransaction"], ["insert"] * 3]


@both_drivers
async def test_a_commit_may_be_repeated_over_the_connection(driver):
    async with balanced(driver) as (peer, client):
        async with client.start_session() as session:
            await session.start_transaction()
            await client.db.c.insert_one({}, session=session)
            assert await holder(client) == "transactions"
            for _ in range(3):
                await session.commit_transaction()
                assert await holder(client) == "transactions"
        assert await holder(client) is None
    assert commands(peer) == [["insert"] + ["commitTransaction"] * 3]
    tokens = [request.document["recoveryToken"] for request in peer.of("commitTransaction")]
    assert tokens == [{"recoveryId": 0}] * 3


@pytest.mark.parametrize(
    ("answer", "left"),
    [(LASTING, "transactions"), (TRANSIENT, None), (cut(0), None)],
    ids=["lasting", "transient", "cut"],
)
@both_drivers
async def test_an_error_of_a_statement(driver, answer, left):
    async with balanced(driver) as (peer, client), client.start_session() as session:
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        peer.once("insert", answer)
        with pytest.raises((OperationFailure, AutoReconnect)) as failure:
            await client.db.c.insert_one({}, session=session)
        assert failure.value.has_error_label("TransientTransactionError") is (left is None)
        assert await holder(client) == left
        await session.abort_transaction()
        assert await holder(client) is None
    assert peer.seen["abortTransaction"] == 1
    assert len(peer.lines_used) == (2 if callable(answer) else 1)


@pytest.mark.parametrize(
    ("answer", "left"),
    [(LASTING, "transactions"), (TRANSIENT, None)],
    ids=["lasting", "transient"],
)
@both_drivers
async def test_an_error_of_the_commit(driver, answer, left):
    async with balanced(driver) as (peer, client):
        async with client.start_session() as session:
            await session.start_transaction()
            await client.db.c.insert_one({}, session=session)
            peer.once("commitTransaction", answer)
            with pytest.raises(OperationFailure):
                await session.commit_transaction()
            assert await holder(client) == left
        assert await holder(client) is None
    assert commands(peer) == [["insert", "commitTransaction"]]


@ferromongo_only
@both_drivers
async def test_a_cut_commit_is_sent_again_over_another_connection(driver):
    """PyMongo then keeps the second one; by the specification it goes back to the pool."""
    async with balanced(driver) as (peer, client), client.start_session() as session:
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        peer.once("commitTransaction", cut(0))
        await session.commit_transaction()
        assert await holder(client) is None
    assert commands(peer) == [["insert", "commitTransaction"], ["commitTransaction"]]
    _first, second = peer.of("commitTransaction")
    assert second.document["recoveryToken"] == {"recoveryId": 0}
    assert second.document["writeConcern"] == {"w": "majority", "wtimeout": 10000}


ABORTS = {"refused": LASTING, "a lock": TRANSIENT, "cut": cut(0), "ordinary": None}


@pytest.mark.parametrize("answer", ABORTS.values(), ids=ABORTS)
@both_drivers
async def test_an_abort_gives_the_connection_back(driver, answer):
    async with balanced(driver) as (peer, client), client.start_session() as session:
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        if answer is not None:
            peer.once("abortTransaction", answer)
        await session.abort_transaction()
        assert await holder(client) is None
        if callable(answer):
            expected = [["insert", "abortTransaction"], ["abortTransaction"]]
        else:
            expected = [["insert", "abortTransaction"]]
        assert commands(peer) == expected
        assert peer.of("abortTransaction")[-1].document["recoveryToken"] == {"recoveryId": 0}


@both_drivers
async def test_the_next_transaction_gives_it_back(driver):
    async with balanced(driver) as (_peer, client), client.start_session() as session:
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        await session.commit_transaction()
        assert await holder(client) == "transactions"
        await session.start_transaction()
        assert await holder(client) is None
        await client.db.c.insert_one({}, session=session)
        assert await holder(client) == "transactions"
        await session.commit_transaction()


@both_drivers
async def test_an_operation_outside_of_the_transaction_gives_it_back(driver):
    async with balanced(driver) as (peer, client), client.start_session() as session:
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        await session.commit_transaction()
        assert await holder(client) == "transactions"
        await client.db.c.insert_one({}, session=session)
        assert await holder(client) is None
        with pytest.raises(InvalidOperation):
            await session.commit_transaction()
    assert commands(peer) == [["insert", "commitTransaction", "insert"]]


@both_drivers
async def test_a_cursor_shares_the_transactions_connection(driver):
    async with balanced(driver) as (peer, client), client.start_session() as session:
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        cursor = client.db.c.find(batch_size=1, session=session)
        await cursor.to_list(2)
        assert await holder(client) == "transactions"
        await cursor.close()
        assert await holder(client) == "transactions"
        await session.abort_transaction()
        assert await holder(client) is None
    expected = ["insert", "find", "getMore", "killCursors", "abortTransaction"]
    assert commands(peer) == [expected]
    assert all(request.document.get("autocommit") is False for request in peer.of("getMore"))


@both_drivers
async def test_closing_a_cursor_does_not_end_the_chance_to_commit_again(driver):
    async with (
        balanced(driver, maxPoolSize=2) as (peer, client),
        client.start_session() as session,
    ):
        await session.start_transaction()
        cursor = client.db.c.find(batch_size=1, session=session)
        await cursor.next()
        await session.commit_transaction()
        await cursor.close()
        await session.commit_transaction()
    assert len(peer.cursors.killed) == 1
    first, second = peer.of("commitTransaction")
    assert first.connection is second.connection


@both_drivers
async def test_the_end_of_the_session_gives_it_back(driver):
    async with balanced(driver) as (peer, client):
        session = client.start_session()
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        await session.end_session()
        assert await holder(client) is None
    assert commands(peer) == [["insert", "abortTransaction"]]


@both_drivers
async def test_a_forgotten_session_gives_it_back(driver):
    async with balanced(driver, waitQueueTimeoutMS=5000) as (_peer, client):
        session = client.start_session()
        await session.start_transaction()
        await client.db.c.insert_one({}, session=session)
        del session
        gc.collect()
        assert await holder(client) is None


@both_drivers
async def test_a_transaction_that_gets_no_connection(driver):
    async with balanced(driver) as (_peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        async with client.start_session() as session:
            await session.start_transaction()
            with pytest.raises(WaitQueueTimeoutError) as failure:
                await client.db.c.insert_one({}, session=session)
            assert failure.value.has_error_label("TransientTransactionError")
            counts = (
                "maxPoolSize: 1, connections in use by cursors: 1, connections in use by "
                "transactions: 0, connections in use by other operations: 0, timeout: 0.05"
            )
            assert counts in str(failure.value)
            await cursor.close()
            await client.db.c.insert_one({}, session=session)
            assert await holder(client) == "transactions"
            await session.abort_transaction()
        assert await holder(client) is None


@ferromongo_only
async def test_a_cancelled_statement_closes_the_connection():
    """PyMongo closes it too, but the transaction goes on holding its place in the pool."""
    async with balanced(AsyncDriver()) as (peer, client):
        async with client.start_session() as session:
            await session.start_transaction()
            await client.db.c.insert_one({}, session=session)
            peer.once("insert", delayed(5))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.db.c.insert_one({}, session=session), 0.1)
            assert await holder(client) is None
            await session.abort_transaction()
        assert await holder(client) is None
    assert commands(peer) == [["insert", "insert"], ["abortTransaction"]]


@ferromongo_only
def test_an_interrupted_statement_closes_the_connection():
    """As above, by a signal's handler."""

    class Interrupted(BaseException):
        pass

    def interrupt(*arguments):
        raise Interrupted

    async def body(driver):
        async with balanced(driver) as (peer, client), client.start_session() as session:
            await session.start_transaction()
            await client.db.c.insert_one({}, session=session)
            peer.once("insert", delayed(5))
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Interrupted):
                await client.db.c.insert_one({}, session=session)
            assert await holder(client) is None
            await session.abort_transaction()
        assert commands(peer) == [["insert", "insert"], ["abortTransaction"]]

    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        driver = SyncDriver()
        driver.run(body(driver))
    finally:
        signal.signal(signal.SIGALRM, former)


@ferromongo_only
@pytest.mark.parametrize("begun", [False, True])
async def test_two_statements_at_once(begun):
    """PyMongo sends both over the one connection, or the second over another."""
    async with (
        balanced(AsyncDriver(), waitQueueTimeoutMS=5000) as (peer, client),
        client.start_session() as session,
    ):
        await session.start_transaction()
        if begun:
            await client.db.c.insert_one({}, session=session)
        inserts = [client.db.c.insert_one({}, session=session) for _ in range(2)]
        first, second = await asyncio.gather(*inserts, return_exceptions=True)
        assert first.acknowledged
        assert isinstance(second, InvalidOperation)
        assert "in use by another operation" in str(second)
        await session.commit_transaction()
    assert commands(peer) == [["insert"] * (1 + begun) + ["commitTransaction"]]


@both_drivers
async def test_with_transaction(driver):
    async with balanced(driver) as (peer, client):

        async def work(session):
            await client.db.c.insert_one({}, session=session)
            await client.db.c.insert_one({}, session=session)

        async with client.start_session() as session:
            peer.once("insert", {"ok": 1, "n": 1}, TRANSIENT)
            peer.once("commitTransaction", cut(0))
            await session.with_transaction(work)
        assert await holder(client) is None
    first, second = commands(peer)
    assert first == [
        "insert",
        "insert",
        "abortTransaction",
        "insert",
        "insert",
        "commitTransaction",
    ]
    assert second == ["commitTransaction"]
