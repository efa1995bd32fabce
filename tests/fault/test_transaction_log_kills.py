"""Programs, and primaries, are killed in the middle of transactions: the log knows how each ended.

After every kill the log is recovered, and each transaction's outcome must be what the data say. How
many are killed is FERROMONGO_KILLS, of both APIs together; FERROMONGO_KILLS_SEED repeats a run, as
far as a run can be repeated.
"""

import collections
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import threading
import time

import pymongo
import pytest
from tests.drivers import both_drivers, ferromongo_only, patient
from tests.fault import programs
from tests.fault.programs.killed_transfers import ACCOUNTS, START
from tests.fault.proxy import Proxy

from ferromongo.embedded import ReplicaSet

if os.environ.get("FERROMONGO_TEST_DRIVER", "ferromongo") == "ferromongo":
    from ferromongo.transaction_log import TransactionLog

KILLS = int(os.environ.get("FERROMONGO_KILLS", "42"))
SEED = int(os.environ.get("FERROMONGO_KILLS_SEED", "0")) or random.randrange(1 << 30)
pytestmark = [ferromongo_only, pytest.mark.timeout(120 + KILLS * 10)]


@pytest.fixture(scope="module")
def replica_set():
    # What the late statement of a killed program begins, nobody ends: it holds its documents.
    with ReplicaSet(members=3, parameters={"transactionLifetimeLimitSeconds": 5}) as replica_set:
        yield replica_set


@pytest.fixture(scope="module")
def nursery():
    """Forks the programs that are killed."""
    with programs.start("killed_transfers", stdin=subprocess.PIPE) as process:

        def ask(request):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


class Kill:
    """One program, the moment of its death, and what is found afterwards."""

    def __init__(self, number, driver, replica_set, nursery, directory, database):
        self.chance = random.Random(f"{SEED} {driver.name} {number}")
        self.name = f"{driver.name}-{number}"
        self._driver = driver
        self._replica_set = replica_set
        self._nursery = nursery
        self._log = directory / f"{self.name}.log"
        self._told = directory / f"{self.name}.told"
        self._told.touch()
        self._database = database
        moments = {
            "at once": self._after_a_while,
            "the file grows": self._when_the_file_grows,
            "before a statement": self._holding("update", reply=False),
            "after a statement": self._holding("update", reply=True),
            "before the commit": self._holding("commitTransaction", reply=False),
            "after the commit": self._holding("commitTransaction", reply=True),
            "before the abort": self._holding("abortTransaction", reply=False),
        }
        # Each comes up, in whatever order.
        self.moment = list(moments)[number % len(moments)]
        self._await_moment = moments[self.moment]
        self.marker = self.chance.random() < 0.3
        self.replay = self.chance.choice([None, None, True, self._again])

    async def run(self, kills_primary=False):
        primary = self._replica_set.primary
        with Proxy(primary.address) as proxy:
            pid = self._nursery({"start": self._arguments(proxy, kills_primary)})
            try:
                hold = self._await_moment(proxy, pid)
                if kills_primary:
                    self._replica_set.kill(primary)
                    time.sleep(self.chance.random() * 0.5)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                status = self._nursery({"wait": pid})
            assert status in (-signal.SIGKILL, 0)
            # What the program has sent last may arrive when it is dead: before the recovery, during
            # it, or later.
            late = self.chance.choice(["before", "during", "after", "never"])
            if hold is not None and late == "before":
                hold.release()
            during_election = self.chance.random() < 0.5
            if kills_primary and not during_election:
                self._replica_set.recover()
            elif not kills_primary and self.chance.random() < 0.3:
                # As a primary that steps down does: a commit that arrives later comes too late.
                self._database.client.admin.command("killAllSessions", [])
            timer = None
            if hold is not None and late == "during":
                timer = threading.Timer(self.chance.random() * 0.02, hold.release)
                timer.start()
            report = await self._recover()
            if hold is not None and late == "after":
                hold.release()
            if timer is not None:
                timer.join()
            if kills_primary:
                self._replica_set.recover()
            self.check(report)
            return report

    def _arguments(self, proxy, kills_primary):
        options = {"w": self.chance.choice(["majority", 1])}
        if kills_primary:
            options.update(w="majority", serverSelectionTimeoutMS=1000)
        return {
            "api": self._driver.name,
            "uri": proxy.uri(),
            "database": self._database.name,
            "log": str(self._log),
            "told": str(self._told),
            "name": self.name,
            "seed": self.chance.randrange(1 << 30),
            "workers": self.chance.randint(1, 3),
            "transfers": 4,
            "options": options,
            "log_options": {"capture": "full", "marker": self.marker},
        }

    def _after_a_while(self, proxy, pid):
        wait_for(lambda: self._log.exists() or ended(pid))
        time.sleep(self.chance.random() * 0.2)

    def _when_the_file_grows(self, proxy, pid):
        """Between the writing of a record and what comes after it: the disk, the commit."""
        times, size = self.chance.randint(1, 30), 0
        deadline = time.monotonic() + patient(30)
        while times > 0 and not ended(pid):
            with contextlib.suppress(FileNotFoundError):
                grown = os.stat(self._log).st_size
                times -= grown > size
                size = grown
            assert time.monotonic() < deadline

    def _holding(self, command, reply):
        def wait(proxy, pid):
            most = {"update": 24, "commitTransaction": 8, "abortTransaction": 2}[command]
            hold = proxy.hold(command, self.chance.randrange(most), reply)
            wait_for(lambda: hold.arrived.is_set() or ended(pid))
            if command == "commitTransaction" and hold.arrived.is_set():
                assert "committing" in [entry.state for entry in TransactionLog.read(self._log)]
            # Others may go on for a moment.
            time.sleep(self.chance.choice([0, 0, 0.02]))
            return hold

        return wait

    async def _recover(self):
        log = TransactionLog(self._log, marker=self.marker, capture="full")
        async with self._driver.client(
            self._replica_set.uri, w="majority", transaction_log=log
        ) as client:
            self._client = client
            report = await self._until_known(client, log)
            again = await client.recover_transactions(log, replay=self.replay)
            assert not again, again[:]
        log.close()
        return report

    async def _until_known(self, client, log):
        """While a primary is elected, some may be unknown at first."""
        known = []
        deadline = time.monotonic() + patient(60)
        while True:
            report = await client.recover_transactions(log, replay=self.replay)
            known += [found for found in report if found.outcome != "unknown"]
            if not report.unknown:
                return known
            assert time.monotonic() < deadline, report[:]

    async def _again(self, entry, session):
        """The transfer once more, by its captured statements."""
        attempt = attempt_of(entry)
        if attempt is None:
            return  # it had not come that far
        transfer = attempt.rpartition("/")[0]
        accounts = self._client[self._database.name].accounts
        ledger = self._client[self._database.name].ledger
        line = next(u["u"] for u in updates_of(entry) if "$push" in u["u"])["$set"]
        if await ledger.find_one({"_id": transfer}, session=session):
            return  # another attempt has made it
        change = {"$inc": {"times": 1}, "$push": {"attempts": attempt}, "$set": line}
        await ledger.update_one({"_id": transfer}, change, upsert=True, session=session)
        for account, sign in ((line["source"], -1), (line["target"], 1)):
            change = {"$inc": {"balance": sign * line["amount"]}}
            await accounts.update_one({"_id": account}, change, session=session)

    def check(self, report):
        """The log, what the program was told, and the data agree."""
        seen = f"seed {SEED}, {self.name}, {self.moment}"
        # As the primary has it: a commit with w=1 may not have reached the others yet.
        ledger = self._database.ledger
        known = re.compile(f"^{self.name}-")
        applied = collections.Counter(
            attempt for line in ledger.find({"_id": known}) for attempt in line["attempts"]
        )
        entries = TransactionLog.read(self._log)
        assert len({entry.key for entry in entries}) == len(entries), seen
        made = collections.Counter()
        for entry in entries:
            attempt = attempt_of(entry)
            assert entry.outcome in ("committed", "aborted"), (seen, entry)
            if attempt is not None and entry.outcome == "committed":
                made[attempt] += 1
        if applied != made:
            raise AssertionError((seen, applied - made, made - applied, report[:]))
        transfers = collections.Counter(attempt.rpartition("/")[0] for attempt in applied)
        assert set(transfers.values()) <= {1}, (seen, transfers)
        for line in self._told.read_text().splitlines():
            transfer, outcome = line.split()
            replayed = any(
                found.replayed and (attempt_of(found.entry) or "").startswith(f"{transfer}/")
                for found in report
            )
            if outcome == "committed":
                assert transfers[transfer] == 1, (seen, transfer)
            elif outcome == "failed" and not replayed:
                assert transfers[transfer] == 0, (seen, transfer)
        accounts = self._database.accounts
        with self._database.client.start_session(snapshot=True) as session:
            expected = dict.fromkeys(range(ACCOUNTS), START)
            balances = {each["_id"]: each["balance"] for each in accounts.find({}, session=session)}
            for line in self._database.ledger.find({}, session=session):
                assert line["times"] == len(line["attempts"]) == 1, (seen, line)
                expected[line["source"]] -= line["amount"]
                expected[line["target"]] += line["amount"]
        assert balances == expected, seen


def attempt_of(entry):
    """The name that this attempt at a transfer has written into the ledger."""
    for update in updates_of(entry):
        if "$push" in update["u"]:
            return update["u"]["$push"]["attempts"]
    return None


def updates_of(entry):
    """What it has changed; of transactions that were left open, the file does not tell."""
    bodies = [statement.body for statement in entry.statements if statement.body]
    return [update for body in bodies for update in body.get("updates", ())]


def ended(pid):
    """Whether the process has ended; its parent has not been told yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition):
    deadline = time.monotonic() + patient(30)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@contextlib.contextmanager
def bank(replica_set, name):
    with pymongo.MongoClient(replica_set.uri, w="majority") as client:
        accounts = [{"_id": number, "balance": START} for number in range(ACCOUNTS)]
        client[name].accounts.insert_many(accounts)
        client[name].create_collection("ledger")
        yield client[name]


@both_drivers
async def test_every_outcome_is_known_after_a_kill(driver, replica_set, nursery, tmp_path):
    moments = collections.Counter()
    outcomes = collections.Counter()
    with bank(replica_set, f"kills_{driver.name}") as database:
        for number in range(KILLS // 2):
            kill = Kill(number, driver, replica_set, nursery, tmp_path, database)
            report = await kill.run()
            moments[kill.moment] += 1
            for found in report:
                outcomes[f"{kill.moment}: {found.entry.state} {found.outcome}"] += 1
                outcomes["replayed"] += found.replayed
        # Also when everything late has arrived.
        kill.check(report)
    print(f"\n{driver.name}, seed {SEED}:", *sorted(outcomes.items()), sep="\n  ")


@both_drivers
async def test_every_outcome_is_known_after_the_primary_was_killed(
    driver, replica_set, nursery, tmp_path
):
    with bank(replica_set, f"primaries_{driver.name}") as database:
        for number in range(max(2, KILLS // 20)):
            # Before the commit, after it, and at any moment.
            moment = [4, 5, 0][number % 3]
            kill = Kill(moment + 7 * number, driver, replica_set, nursery, tmp_path, database)
            await kill.run(kills_primary=True)
