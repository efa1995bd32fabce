"""Once its session has expired a server does not know a transaction: then recovery does not guess.

The cluster's time is moved forward here, which takes a replica set of its own, and sessions are
removed as they are when they have expired.
"""

import datetime
import time

import pymongo
import pytest
from bson import Timestamp
from bson.binary import Binary
from pymongo.write_concern import WriteConcern
from tests.drivers import APP, both_drivers, ferromongo_only, package, patient

from ferromongo.embedded import ReplicaSet

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction_log import TransactionLog


@pytest.fixture(scope="module")
def replica_set():
    parameters = {
        "localLogicalSessionTimeoutMinutes": 1,
        "TransactionRecordMinimumLifetimeMinutes": 1,
        "transactionLifetimeLimitSeconds": 3600,
    }
    with ReplicaSet(parameters=parameters) as replica_set:
        yield replica_set


class Bank:
    """A transaction in doubt, and ways to make the server forget it."""

    def __init__(self, driver, replica_set, marker=False):
        self._driver = driver
        self._replica_set = replica_set
        self.log = TransactionLog(marker=marker)
        self.client = driver.client(replica_set.uri, appName=APP, transaction_log=self.log)
        self.collection = self.client[f"expiry_{driver.name}_{marker}"].c

    async def leave_in_doubt(self, committed):
        await self.collection.drop()
        await self.collection.insert_one({"_id": 0})
        assert not await self.client.recover_transactions(self.log)  # makes the markers' index
        async with self.client.start_session() as session:
            await session.start_transaction()
            await self.collection.insert_one({"_id": 1}, session=session)
            # The reply is lost, or the commit itself is.
            lost = {"writeConcernError": {"code": 91, "errmsg": "shutting down"}, "times": 2}
            how = lost if committed else {"closeConnection": True, "times": 2}
            with (
                self._replica_set.failpoint(failCommands=["commitTransaction"], appName=APP, **how),
                pytest.raises(package.errors.PyMongoError),
            ):
                await session.commit_transaction()
        if not committed:
            await self.client.admin.command("killAllSessions", [])
        [entry] = self.log.unfinished()
        assert entry.outcome == "unknown"
        return entry

    async def forget_session(self, entry):
        """What the server does when a session has expired."""
        config = self.client.config
        await self.client.admin.command("refreshLogicalSessionCacheNow")
        await config.system.sessions.delete_many({"_id.id": as_binary(entry)})
        # The server takes this from nobody who names a session, as all acknowledged writes do.
        records = config.transactions.with_options(write_concern=WriteConcern(0))
        await records.delete_many({"_id.id": as_binary(entry)})
        deadline = time.monotonic() + patient(30)
        while await config.transactions.find_one({"_id.id": as_binary(entry)}):
            assert time.monotonic() < deadline


def as_binary(entry):
    return Binary.from_uuid(entry.session_id)


def move_cluster_time(replica_set, **by):
    """Tell the server a time in the future, which it takes on, as nobody authenticates."""
    with pymongo.MongoClient(replica_set.uri) as client:
        told = dict(client.admin.command("ping")["$clusterTime"])
        seconds = int(datetime.timedelta(**by).total_seconds())
        told["clusterTime"] = Timestamp(told["clusterTime"].time + seconds, 1)
        with client.start_session() as session:
            session.advance_cluster_time(told)
            client.admin.command({"appendOplogNote": 1, "data": {"later": 1}}, session=session)


@both_drivers
@pytest.mark.parametrize("committed", [True, False])
async def test_an_expired_session_does_not_tell(driver, replica_set, committed):
    bank = Bank(driver, replica_set)
    entry = await bank.leave_in_doubt(committed)
    move_cluster_time(replica_set, minutes=2)
    await bank.forget_session(entry)
    for _ in range(2):
        [found] = await bank.client.recover_transactions(bank.log, replay=must_not_be_called)
        assert (found.outcome, found.replayed) == ("unknown", False)
        assert "expired" in found.error.message
    assert await bank.collection.count_documents({}) == 1 + committed
    await bank.client.close()


@both_drivers
async def test_an_acknowledgement_counts_however_late(driver, replica_set):
    bank = Bank(driver, replica_set)
    await bank.leave_in_doubt(committed=True)
    move_cluster_time(replica_set, minutes=2)
    [found] = await bank.client.recover_transactions(bank.log)
    assert found.outcome == "committed"
    await bank.client.close()


@both_drivers
@pytest.mark.parametrize("committed", [True, False])
async def test_a_marker_tells_what_became_of_it(driver, replica_set, committed):
    bank = Bank(driver, replica_set, marker=True)
    entry = await bank.leave_in_doubt(committed)
    assert entry.marker == "ferromongo.transaction_markers"
    move_cluster_time(replica_set, minutes=2)
    await bank.forget_session(entry)
    [found] = await bank.client.recover_transactions(bank.log)
    assert found.outcome == ("committed" if committed else "aborted")
    assert not await bank.client.recover_transactions(bank.log)
    await bank.client.close()


@both_drivers
@pytest.mark.parametrize("committed", [True, False])
async def test_markers_do_not_outlive_a_day(driver, replica_set, committed):
    bank = Bank(driver, replica_set, marker=True)
    entry = await bank.leave_in_doubt(committed)
    markers = bank.client.ferromongo.transaction_markers
    indexes = await markers.index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 24 * 60 * 60
    move_cluster_time(replica_set, days=1)
    await bank.forget_session(entry)
    [found] = await bank.client.recover_transactions(bank.log, replay=must_not_be_called)
    # The index goes by the server's clock, so the marker is there. Where there is none, it might
    # have been removed.
    assert found.outcome == ("committed" if committed else "unknown")
    await bank.client.close()


def must_not_be_called(entry, session):
    raise AssertionError(entry)
