"""Sixteen threads or tasks transfer between four accounts with `with_transaction`.

Most transactions meet another one, are refused with a write conflict and run again after a pause
at random, so wall times spread. Motor is of an older kind, which makes no pauses.
"""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable

from benches.workloads.contract import Workload

ACCOUNTS = 4
AT_ONCE = 16
START = 1_000_000


def sync(peer, transfers):
    accounts = peer.database["conflicts"]

    def work(share):
        with client_of(peer).start_session() as session:
            for payer, payee in share:

                def transfer(session, payer=payer, payee=payee):
                    accounts.update_one({"_id": payer}, {"$inc": {"balance": -1}}, session=session)
                    accounts.update_one({"_id": payee}, {"$inc": {"balance": 1}}, session=session)

                session.with_transaction(transfer)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(work, shares(transfers)))


async def asynchronous(peer, transfers):
    accounts = peer.database["conflicts"]

    async def work(share):
        session = client_of(peer).start_session()
        if isawaitable(session):  # Motor's
            session = await session
        async with session:
            for payer, payee in share:

                async def transfer(session, payer=payer, payee=payee):
                    dues, gains = {"$inc": {"balance": -1}}, {"$inc": {"balance": 1}}
                    await accounts.update_one({"_id": payer}, dues, session=session)
                    await accounts.update_one({"_id": payee}, gains, session=session)

                await session.with_transaction(transfer)

    await asyncio.gather(*map(work, shares(transfers)))


def client_of(peer):
    client = getattr(peer.database, "client", None)
    if client is None:
        raise NotImplementedError("it has no with_transaction")
    return client


def transfers(operations):
    """Pairs of accounts, the same in every round; in any order, so that each may meet each."""
    chance = random.Random(operations)
    return [chance.sample(range(ACCOUNTS), 2) for _ in range(operations)]


def shares(transfers):
    return [transfers[first::AT_ONCE] for first in range(AT_ONCE)]


def reset(database):
    for account in range(ACCOUNTS):
        database["conflicts"].replace_one({"_id": account}, {"balance": START}, upsert=True)


def balances(database, answer):
    return {str(one["_id"]): one["balance"] for one in database["conflicts"].find().sort("_id")}


def balances_when_right(transfers):
    expected = dict.fromkeys(map(str, range(ACCOUNTS)), START)
    for payer, payee in transfers:
        expected[str(payer)] -= 1
        expected[str(payee)] += 1
    return expected


WORKLOAD = Workload(
    name="transaction_conflicts",
    title="with_transaction, 16 at once on 4 documents",
    operations=160,
    items=transfers,
    expected=balances_when_right,
    sync=sync,
    asynchronous=asynchronous,
    reset=reset,
    outcome=balances,
)
