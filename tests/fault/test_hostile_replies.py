"""A reply without sense is an exception of PyMongo's, its connection is closed, and life goes on.

The replies are in hostile_replies.py. Many are tried at once, each with a peer of its own.
"""

import pytest
from pymongo.errors import PyMongoError
from tests.drivers import DRIVER_NAME, both_drivers, eventually, patient
from tests.fault import hostile_replies as hostile
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set

OPTIONS = {
    "retryReads": False, "retryWrites": False, "socketTimeoutMS": 5000, "connectTimeoutMS": 5000,
}  # fmt: skip
CREDENTIALS = {"username": "user", "password": "secret", "authMechanism": "SCRAM-SHA-256"}


async def ping(client):
    await client.admin.command("ping")


async def find_one(client):
    await client.db.c.find_one()


async def insert_one(client):
    await client.db.c.insert_one({})


async def update_one(client):
    await client.db.c.update_one({}, {"$set": {"x": 1}})


async def get_more(client):
    await client.db.c.find(batch_size=2).to_list()


async def commit(client):
    async with client.start_session() as session, await session.start_transaction():
        await client.db.c.insert_one({}, session=session)


OPERATIONS = {
    "find": find_one, "insert": insert_one, "update": update_one, "getMore": get_more,
    "commitTransaction": commit, "saslStart": ping, "saslContinue": ping, "hello": ping,
}  # fmt: skip


@pytest.mark.parametrize("command", hostile.GROUPS)
@both_drivers
async def test_replies_without_sense(driver, command):
    operation = OPERATIONS[command]

    async def attempt(group, case):
        with Peer(replica_set) as peer:
            peer.cursors.documents = [{"_id": n} for n in range(5)]
            peer.on(command, group.answers[case])
            fails = group.expected(case) is not None
            # What is expected is raised at once, or is there when the time is over.
            timeout = round(patient(1) * 1000) if command == "hello" and fails else 5000
            options = OPTIONS | (CREDENTIALS if command.startswith("sasl") else {})
            uri = peer.uri(serverSelectionTimeoutMS=timeout, heartbeatFrequencyMS=500)
            async with driver.client(uri, **options) as client:
                raised = await outcome(operation, client)
                if raised is not None and group.closes:
                    lines = [request.connection for request in peer.of(command)]
                    await eventually(driver, lambda: not any(line.open for line in lines))
                peer.sane()
                if command != "hello" or (raised is not None and DRIVER_NAME == "ferromongo"):
                    # PyMongo may have taken the hosts to heart.
                    await recovers(driver, operation, client)
                return raised

    cases = [(group, case) for group in hostile.GROUPS[command] for case in group.answers]
    for start in range(0, len(cases), AT_ONCE):
        batch = cases[start : start + AT_ONCE]
        jobs = [driver.start(attempt, *case) for case in batch]
        outcomes = [await job.result() for job in jobs]
        wrong = {
            case: raised
            for (group, case), raised in zip(batch, outcomes, strict=True)
            if not fits(group.expected(case), raised)
        }
        assert wrong == {}


async def outcome(operation, client):
    try:
        await operation(client)
    except Exception as error:
        return error
    return None


async def recovers(driver, operation, client):
    """At the latest when the monitors have asked again."""
    for _ in range(20):
        error = await outcome(operation, client)
        if not isinstance(error, PyMongoError):
            break
        await driver.sleep(0.1)
    assert error is None


def fits(expected, raised):
    return raised is None if expected is None else isinstance(raised, expected)


AT_ONCE = 50
