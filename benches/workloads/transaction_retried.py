"""A transfer as a function that is run again when it has to be: with ferromongo by `atomic`, with
the others by `with_transaction`. Compared with the row "transaction", it shows what that costs.
"""

from inspect import isawaitable

from benches.workloads import transaction
from benches.workloads.contract import Workload
from benches.workloads.transaction_conflicts import client_of


def sync(peer, items):
    update_one = peer.database["accounts"].update_one

    def transfer(session=None):
        update_one({"_id": "payer"}, {"$inc": {"balance": -1}}, session=session)
        update_one({"_id": "payee"}, {"$inc": {"balance": 1}}, session=session)

    client = client_of(peer)
    if peer.name == "ferromongo":
        from ferromongo.transaction import atomic

        transfer = atomic(client)(transfer)
        for _ in items:
            transfer()
        return
    for _ in items:
        with client.start_session() as session:
            session.with_transaction(transfer)


async def asynchronous(peer, items):
    update_one = peer.database["accounts"].update_one

    async def transfer(session=None):
        await update_one({"_id": "payer"}, {"$inc": {"balance": -1}}, session=session)
        await update_one({"_id": "payee"}, {"$inc": {"balance": 1}}, session=session)

    client = client_of(peer)
    if peer.name == "ferromongo":
        from ferromongo.transaction import atomic

        transfer = atomic(client)(transfer)
        for _ in items:
            await transfer()
        return
    for _ in items:
        session = client.start_session()
        if isawaitable(session):  # Motor's
            session = await session
        async with session:
            await session.with_transaction(transfer)


WORKLOAD = Workload(
    name="transaction_retried",
    title="the same by atomic (or with_transaction)",
    operations=150,
    items=range,
    expected=transaction.WORKLOAD.expected,
    sync=sync,
    asynchronous=asynchronous,
    reset=transaction.reset,
    outcome=transaction.balances,
)
