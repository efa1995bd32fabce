"""Two payments meet on one account that covers only one: `python examples/transfer_async.py`.

Both read the balance, then both write. The server refuses the second write with a write
conflict; `with_transaction` runs that payment again, and now it sees what the other has left.

It starts a real replica set of its own, or uses the one FERROMONGO_TEST_URI names. Change the
import of `AsyncMongoClient` to pymongo's and it runs just the same.
"""

import asyncio
import os
from contextlib import ExitStack

from pymongo.errors import OperationFailure

from ferromongo import AsyncMongoClient
from ferromongo.embedded import ReplicaSet


async def main(uri):
    async with AsyncMongoClient(uri) as client:
        await client.drop_database("transfer_async")
        accounts = client.transfer_async.accounts
        await accounts.insert_many(
            [{"_id": name, "balance": 100 if name == "Ada" else 0} for name in NAMES]
        )
        print("\n== Ada has 100 and pays 80 to Ben and 80 to Cleo, both at once")
        both_have_read = asyncio.Barrier(2)
        paid = await asyncio.gather(
            *(pay(client, receiver, 80, both_have_read) for receiver in ("Ben", "Cleo"))
        )
        balances = {one["_id"]: one["balance"] async for one in accounts.find().sort("_id")}
        print("\n== Afterwards\n" + str(balances))
        await client.drop_database("transfer_async")
    if sorted(paid) != [False, True] or sorted(balances.values()) != [0, 20, 80]:
        raise AssertionError("money was made or lost")
    print("One payment was made, one refused, and nothing was lost")


NAMES = ("Ada", "Ben", "Cleo")


class NotCovered(Exception):
    pass


async def pay(client, receiver, amount, both_have_read):
    """Move `amount` from Ada to `receiver` and say whether it was moved."""
    accounts = client.transfer_async.accounts
    tries = 0

    async def transfer(session):
        nonlocal tries
        tries += 1
        # Read again in each try: what an earlier one saw is no longer true.
        balance = (await accounts.find_one({"_id": "Ada"}, session=session))["balance"]
        print(f"  {receiver}, try {tries}: Ada has {balance}")
        if tries == 1:
            await asyncio.wait_for(both_have_read.wait(), 30)  # only here, to make them meet
        if balance < amount:
            raise NotCovered
        payment, receipt = {"$inc": {"balance": -amount}}, {"$inc": {"balance": amount}}
        try:
            await accounts.update_one({"_id": "Ada"}, payment, session=session)
        except OperationFailure as error:
            # To show it. Whoever catches an error in a transaction has to raise it again.
            print(f"  {receiver}, try {tries}: {error.details['codeName']}, so all of it again")
            raise
        await accounts.update_one({"_id": receiver}, receipt, session=session)

    try:
        async with client.start_session() as session:
            await session.with_transaction(transfer)
    except NotCovered:
        print(f"  {receiver}, try {tries}: refused, that does not cover {amount}")
        return False
    print(f"  {receiver}, try {tries}: paid {amount}")
    return True


if __name__ == "__main__":
    with ExitStack() as stack:
        uri = os.environ.get("FERROMONGO_TEST_URI")
        asyncio.run(main(uri or stack.enter_context(ReplicaSet(members=1)).uri))
