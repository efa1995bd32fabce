"""A transaction of two updates and its commit: one unit moves between two accounts."""

from benches.workloads.contract import Workload

START = 1_000_000


def sync(peer, items):
    update_one = peer.database["accounts"].update_one
    for _ in items:
        with peer.transaction() as session:
            update_one({"_id": "payer"}, {"$inc": {"balance": -1}}, session=session)
            update_one({"_id": "payee"}, {"$inc": {"balance": 1}}, session=session)


async def asynchronous(peer, items):
    update_one = peer.database["accounts"].update_one
    for _ in items:
        async with peer.transaction() as session:
            await update_one({"_id": "payer"}, {"$inc": {"balance": -1}}, session=session)
            await update_one({"_id": "payee"}, {"$inc": {"balance": 1}}, session=session)


def reset(database):
    for account in ("payer", "payee"):
        database["accounts"].replace_one({"_id": account}, {"balance": START}, upsert=True)


def balances(database, answer):
    return {account["_id"]: account["balance"] for account in database["accounts"].find()}


WORKLOAD = Workload(
    name="transaction",
    title="transaction, 2 updates and commit",
    operations=150,
    items=range,
    expected=lambda items: {"payer": START - len(items), "payee": START + len(items)},
    sync=sync,
    asynchronous=asynchronous,
    reset=reset,
    outcome=balances,
)
