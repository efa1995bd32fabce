"""Money that can't be lost: transfers in transactions while everything goes wrong.

FERROMONGO_MONEY_SECONDS says how long each API is tried; every kind of misfortune comes at least
once, however short that is. FERROMONGO_MONEY_WAYS=session or atomic has all transfers made in
that way. `-s` shows the report.
"""

import collections
import os
import random
import time

import pytest
from tests.drivers import APP, both_drivers, eventually, ferromongo_only
from tests.fault.bank import Bank
from tests.fault.misfortune import Misfortunes

from ferromongo.embedded import ReplicaSet

SECONDS = float(os.environ.get("FERROMONGO_MONEY_SECONDS", "30"))
WAYS = os.environ.get("FERROMONGO_MONEY_WAYS", "all")
CUSTOMERS = 6


@pytest.fixture(scope="module")
def replica_set():
    # A transaction whose abort was cut off, too, holds its accounts no longer than that.
    with ReplicaSet(members=3, parameters={"transactionLifetimeLimitSeconds": 10}) as replica_set:
        yield replica_set


@ferromongo_only  # PyMongo calls a commit failed whose wait for the majority was interrupted
@pytest.mark.timeout(SECONDS + 240)
@both_drivers
async def test_no_transfer_is_lost_doubled_or_misreported(driver, replica_set):
    misfortunes = Misfortunes(replica_set, APP)
    struck = collections.Counter()
    async with driver.client(replica_set.uri, w="majority", appName=APP) as client:
        bank = Bank(driver, client, f"bank_{driver.name}", WAYS)
        await bank.open()
        bank.work(CUSTOMERS)
        end = time.monotonic() + SECONDS
        due = []
        while set(struck) != set(misfortunes.kinds) or time.monotonic() < end:
            due = due or random.sample(list(misfortunes.kinds), k=len(misfortunes.kinds))
            kind = due.pop()
            struck[kind] += await driver.blocking(misfortunes.kinds[kind])
            enough = len(bank.applied) + 10
            await eventually(driver, lambda: bank.broken or len(bank.applied) >= enough, timeout=60)  # noqa: B023
            if bank.broken:
                break
        await bank.stop()
        await driver.blocking(replica_set.recover)
        await bank.check()
    print(f"\n{driver.name}:", *bank.report(), sep="\n  ")
    print(*[f"  {count} x {kind}" for kind, count in struck.items()], sep="\n")
    assert min(struck.values()) > 0
    assert len(bank.applied) >= 10 * len(misfortunes.kinds)
    assert bank.audits > 10
