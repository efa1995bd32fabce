"""Two payments meet on one account that covers only one: `python examples/transfer_async.py`.

Both read the balance, then both write. The server refuses the second write with a write
conflict; `atomic` runs that payment again, and now it sees what the other has left.

It starts a real replica set of its own, or uses the one FERROMONGO_TEST_URI names. PyMongo has no
`atomic`: there `transfer` takes a session, passes it to each operation as `session=session`, counts
its attempts itself, and is run by `await session.with_transaction(transfer)`.
"""

import asyncio
import os
from contextlib import ExitStack

from ferromongo import AsyncMongoClient
from ferromongo.embedded import ReplicaSet
from ferromongo.transaction import atomic, current_attempt, on_commit


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

    def say(attempt, what):
        print(f"  {receiver}, try {attempt}: {what}")

    def on_retry(attempt, error):
        say(attempt, f"{error.details['codeName']}, so all of it again")

    @atomic(client, on_retry=on_retry)
    async def transfer():
        attempt = current_attempt()
        # Read again in each try: what an earlier one saw is no longer true.
        balance = (await accounts.find_one({"_id": "Ada"}))["balance"]
        say(attempt, f"Ada has {balance}")
        if attempt == 1:
            await asyncio.wait_for(both_have_read.wait(), 30)  # only here, to make them meet
        if balance < amount:
            say(attempt, f"refused, that does not cover {amount}")
            raise NotCovered  # rolls back
        await accounts.update_one({"_id": "Ada"}, {"$inc": {"balance": -amount}})
        await accounts.update_one({"_id": receiver}, {"$inc": {"balance": amount}})
        on_commit(lambda: say(attempt, f"paid {amount}"))

    try:
        await transfer()
    except NotCovered:
        return False
    return True


if __name__ == "__main__":
    with ExitStack() as stack:
        uri = os.environ.get("FERROMONGO_TEST_URI")
        asyncio.run(main(uri or stack.enter_context(ReplicaSet(members=1)).uri))
