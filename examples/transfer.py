"""Two payments meet on one account that covers only one: `python examples/transfer.py`.

Both read the balance, then both write. The server refuses the second write with a write
conflict; `atomic` runs that payment again, and now it sees what the other has left.

It starts a real replica set of its own, or uses the one FERROMONGO_TEST_URI names. PyMongo has no
`atomic`: there `transfer` takes a session, passes it to each operation as `session=session`, counts
its attempts itself, and is run by `session.with_transaction(transfer)`.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

from ferromongo import MongoClient
from ferromongo.embedded import ReplicaSet
from ferromongo.transaction import atomic, current_attempt, on_commit


def main():
    with ExitStack() as stack:
        uri = os.environ.get("FERROMONGO_TEST_URI")
        uri = uri or stack.enter_context(ReplicaSet(members=1)).uri
        client = stack.enter_context(MongoClient(uri))
        client.drop_database("transfer")
        accounts = client.transfer.accounts
        accounts.insert_many(
            [{"_id": name, "balance": 100 if name == "Ada" else 0} for name in NAMES]
        )
        print("\n== Ada has 100 and pays 80 to Ben and 80 to Cleo, both at once")
        both_have_read = Barrier(2)
        with ThreadPoolExecutor() as threads:
            payments = [
                threads.submit(pay, client, receiver, 80, both_have_read)
                for receiver in ("Ben", "Cleo")
            ]
            paid = [payment.result() for payment in payments]
        balances = {one["_id"]: one["balance"] for one in accounts.find().sort("_id")}
        print("\n== Afterwards\n" + str(balances))
        client.drop_database("transfer")
    if sorted(paid) != [False, True] or sorted(balances.values()) != [0, 20, 80]:
        raise AssertionError("money was made or lost")
    print("One payment was made, one refused, and nothing was lost")


NAMES = ("Ada", "Ben", "Cleo")


class NotCovered(Exception):
    pass


def pay(client, receiver, amount, both_have_read):
    """Move `amount` from Ada to `receiver` and say whether it was moved."""
    accounts = client.transfer.accounts

    def say(attempt, what):
        print(f"  {receiver}, try {attempt}: {what}")

    def on_retry(attempt, error):
        say(attempt, f"{error.details['codeName']}, so all of it again")

    @atomic(client, on_retry=on_retry)
    def transfer():
        attempt = current_attempt()
        # Read again in each try: what an earlier one saw is no longer true.
        balance = accounts.find_one({"_id": "Ada"})["balance"]
        say(attempt, f"Ada has {balance}")
        if attempt == 1:
            both_have_read.wait(timeout=30)  # only here, to make them meet
        if balance < amount:
            say(attempt, f"refused, that does not cover {amount}")
            raise NotCovered  # rolls back
        accounts.update_one({"_id": "Ada"}, {"$inc": {"balance": -amount}})
        accounts.update_one({"_id": receiver}, {"$inc": {"balance": amount}})
        on_commit(lambda: say(attempt, f"paid {amount}"))

    try:
        transfer()
    except NotCovered:
        return False
    return True


if __name__ == "__main__":
    main()
