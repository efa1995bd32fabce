"""Transfer money in logged transactions, in children that are made to be killed.

Each line of the input is a JSON document: `{"start": {...}}` forks a child with these arguments and
answers its pid, `{"wait": pid}` answers how a child has ended. Forking saves the imports.

A transfer is one document of the ledger, with how often it was applied and by which attempts. Each
run of its function is an attempt with a name of its own, which the log captures. What the calls
told the child stands in a file, a line for each transfer.
"""

import itertools
import json
import os
import random
import sys

from pymongo.errors import PyMongoError
from tests.drivers import AsyncDriver, SyncDriver

from ferromongo.transaction_log import TransactionLog

ACCOUNTS = 8
START = 1000


def main():
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            os._exit(child(request["start"]))
        print(json.dumps(pid), flush=True)


def child(arguments):
    driver = AsyncDriver() if arguments.pop("api") == "async" else SyncDriver()
    try:
        driver.run(everybody(driver, **arguments))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


async def everybody(
    driver, uri, database, log, told, name, seed, workers, transfers, options, log_options
):
    told = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    log = TransactionLog(log, **log_options)
    async with driver.client(uri, transaction_log=log, **options) as client:
        jobs = [
            driver.start(
                customer, client, client[database], f"{name}-{n}", seed + n, transfers, told
            )
            for n in range(workers)
        ]
        for job in jobs:
            await job.result()
    log.close()


async def customer(client, database, name, seed, transfers, told):
    chance = random.Random(seed)
    for number in range(transfers):
        transfer = f"{name}-{number}"
        source, target = chance.sample(range(ACCOUNTS), 2)
        refused = chance.random() < 0.15
        move = moving(database, transfer, source, target, chance.randint(1, 5), refused)
        way = chance.choice([by_callback, by_hand, atomically])
        try:
            await way(client, move)
        except Refused:
            outcome = "failed"
        except PyMongoError as error:
            unknown = error.has_error_label("UnknownTransactionCommitResult")
            outcome = "unknown" if unknown else "failed"
        else:
            outcome = "committed"
        os.write(told, f"{transfer} {outcome}\n".encode())


def moving(database, transfer, source, target, amount, refused):
    attempts = itertools.count()

    async def move(session):
        line = {"$inc": {"times": 1}, "$push": {"attempts": f"{transfer}/{next(attempts)}"}}
        line["$set"] = {"source": source, "target": target, "amount": amount}
        await database.accounts.update_one(
            {"_id": source}, {"$inc": {"balance": -amount}}, session=session
        )
        await database.ledger.update_one({"_id": transfer}, line, upsert=True, session=session)
        if refused:
            raise Refused
        await database.accounts.update_one(
            {"_id": target}, {"$inc": {"balance": amount}}, session=session
        )

    return move


async def by_callback(client, move):
    async with client.start_session() as session:
        await session.with_transaction(move)


async def by_hand(client, move):
    async with client.start_session() as session, await session.start_transaction():
        await move(session)


async def atomically(client, move):
    await client.run_atomic(move, None)


class Refused(Exception):
    """The customer's own error."""


if __name__ == "__main__":
    main()
