"""A bank whose customers move money in transactions, and whose books tell what really happened.

Every transfer has a number, which its transaction also writes into a ledger. So the ledger knows
how often each was applied, and accounts and ledger of one moment must agree to the penny. What the
calls told their callers is kept beside it; `check` compares the two.
"""

import collections
import contextlib
import functools
import random
import time

from pymongo import ReadPreference
from pymongo.errors import ConnectionFailure, OperationFailure
from tests.drivers import package
from tests.server.atomic.blocks import block

ACCOUNTS = 12
START = 1000


class Bank:
    def __init__(self, driver, client, name, ways="all"):
        """:param ways: "session" or "atomic", if not all ways to run a transaction are wanted"""
        self._driver = driver
        self._client = client
        self._ways = ways
        database = client[name]
        self._accounts = database.accounts
        self._ledger = database.ledger
        self._stopped = False
        self.broken = False  # somebody met what must not happen: `stop` raises it
        self.applied, self.refused, self.failed, self.unknown = [], [], [], []
        self.errors = collections.Counter()
        self._stories = {}
        self.runs = 0  # how often a transaction's statements were begun
        self.audits = self.missed_audits = 0
        self.longest = 0.0

    async def open(self):
        everybody = [{"_id": number, "balance": START} for number in range(ACCOUNTS)]
        await self._ledger.create_index("transfer")
        async with self._client.start_session() as session:
            await self._accounts.insert_many(everybody, session=session)
            self._opened = session.operation_time

    def work(self, customers):
        """Customers and an auditor get going, until they are told to `stop`."""
        roles = [functools.partial(self._be_customer, number) for number in range(customers)]
        self._jobs = [self._driver.start(self._be, role) for role in [*roles, self._be_auditor]]

    async def stop(self):
        self._stopped = True
        for job in self._jobs:
            await job.result(timeout=150)

    async def _be(self, role):
        try:
            await role()
        except BaseException:
            self.broken = True
            raise

    async def _be_customer(self, customer):
        with_session = [self._with_transaction, self._with_transaction_in_time, self._by_hand]
        atomic = [self._atomic, self._atomic_in_time, self._atomic_block]
        ways = {"session": with_session, "atomic": atomic, "all": with_session + atomic}[self._ways]
        count = 0
        while not self._stopped:
            async with self._client.start_session() as session:
                for _ in range(20):
                    count += 1
                    transfer = f"{customer}-{count}"
                    source, target = random.sample(range(ACCOUNTS), 2)
                    move = self._move(transfer, source, target, random.randint(1, START // 5))
                    start = time.monotonic()
                    way = random.choice(ways)
                    await self._note(transfer, way.__name__, way(session, move))
                    self.longest = max(self.longest, time.monotonic() - start)
                    if self._stopped:
                        break

    async def _note(self, transfer, way, call):
        try:
            await call
        except Overdrawn as error:
            self.refused.append(transfer)
            self._stories[transfer] = way, repr(error.__context__)
        # Whatever else is raised is a mistake, and ends the customer.
        except (ConnectionFailure, OperationFailure) as error:
            known = not error.has_error_label("UnknownTransactionCommitResult")
            (self.failed if known else self.unknown).append(transfer)
            code = getattr(error, "code", None) or "-"
            self._stories[transfer] = way, repr(error)
            self.errors[f"{type(error).__name__} {code} {'failed' if known else 'unknown'}"] += 1
        else:
            self.applied.append(transfer)

    async def _with_transaction(self, session, move):
        await session.with_transaction(move)

    async def _with_transaction_in_time(self, session, move):
        with package.timeout(3):
            await session.with_transaction(move)

    async def _by_hand(self, session, move):
        async with await session.start_transaction():
            await move(session)

    async def _atomic(self, _session, move):
        await self._client.run_atomic(move, None)  # its operations join without a session

    async def _atomic_in_time(self, _session, move):
        await self._client.run_atomic(move, None, timeout=3)

    async def _atomic_block(self, _session, move):
        async with block(self._client):
            await move(None)

    def _move(self, transfer, source, target, amount):
        async def move(session):
            self.runs += 1
            enough = {"_id": source, "balance": {"$gte": amount}}
            taken = await self._accounts.update_one(
                enough, {"$inc": {"balance": -amount}}, session=session
            )
            if not taken.modified_count:
                raise Overdrawn
            # Its own _id is new for each run: a transfer that is done twice is there twice.
            line = {"transfer": transfer, "source": source, "target": target, "amount": amount}
            await self._ledger.insert_one(line, session=session)
            await self._accounts.update_one(
                {"_id": target}, {"$inc": {"balance": amount}}, session=session
            )

        return move

    async def _be_auditor(self):
        while not self._stopped:
            try:
                await self._audit(ReadPreference.SECONDARY_PREFERRED)
                self.audits += 1
            except (ConnectionFailure, OperationFailure):
                self.missed_audits += 1
            await self._driver.sleep(0.2)

    async def _audit(self, read_preference):
        """Accounts and ledger of one moment agree."""
        accounts = self._accounts.with_options(read_preference=read_preference)
        ledger = self._ledger.with_options(read_preference=read_preference)
        flow = {"_id": {"from": "$source", "to": "$target"}, "amount": {"$sum": "$amount"}}
        expected = dict.fromkeys(range(ACCOUNTS), START)
        async with self._client.start_session(snapshot=True) as session:
            balances = await _balances(accounts, session)
            fixed = session.snapshot_time is not None
            async for moved in await ledger.aggregate([{"$group": flow}], session=session):
                expected[moved["_id"]["from"]] -= moved["amount"]
                expected[moved["_id"]["to"]] += moved["amount"]
            moment = session.snapshot_time
            if not fixed:
                # Replication had not brought the collection to that member yet: a server that does
                # not know the collection names no time. The second read has fixed it.
                assert not balances
                balances = await _balances(accounts, session)
        if moment < self._opened:  # what a member that lags shows
            assert expected == dict.fromkeys(range(ACCOUNTS), START)
            assert set(balances.values()) <= {START}
        else:
            assert sum(balances.values()) == ACCOUNTS * START
            assert balances == expected

    async def check(self):
        """Nothing is lost, doubled or misreported."""
        await self._wait_for_commits()
        await self._audit(ReadPreference.PRIMARY)
        times = collections.Counter([line["transfer"] async for line in self._ledger.find()])
        doubled = [transfer for transfer, count in times.items() if count > 1]
        lost = [transfer for transfer in self.applied if not times[transfer]]
        misreported = {
            transfer: self._stories[transfer]
            for transfer in self.refused + self.failed
            if times[transfer]
        }
        assert not doubled, doubled
        assert not lost, lost
        assert not misreported, misreported
        told = {*self.applied, *self.refused, *self.failed, *self.unknown}
        assert set(times) <= told
        self.unknown_but_applied = sum(times[transfer] for transfer in self.unknown)

    async def _wait_for_commits(self):
        """What nobody waited for any longer may still be under way."""
        with contextlib.suppress(ConnectionFailure):
            while (await self._client.admin.command("serverStatus"))["transactions"][
                "currentActive"
            ]:
                await self._driver.sleep(0.05)

    def report(self):
        total = sum(map(len, (self.applied, self.refused, self.failed, self.unknown)))
        lines = [
            f"{total} transfers in {self.runs} runs: {len(self.applied)} applied, "
            f"{len(self.refused)} refused, {len(self.failed)} failed, {len(self.unknown)} unknown "
            f"({self.unknown_but_applied} of them applied); the longest took {self.longest:.1f} s",
            f"{self.audits} audits, {self.missed_audits} could not be made",
        ]
        return lines + [f"{count} x {what}" for what, count in self.errors.most_common()]


async def _balances(accounts, session):
    return {account["_id"]: account["balance"] async for account in accounts.find(session=session)}


class Overdrawn(Exception):
    """The customer's own error, which must undo what the transaction has done so far."""
