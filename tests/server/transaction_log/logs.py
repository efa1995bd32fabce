"""What the tests of transaction logs share."""

import pytest
from pymongo.errors import ConnectionFailure

CUT_TWICE = {"times": 2, "closeConnection": True}  # the driver itself sends a commit twice


def summary(log):
    return [(entry.state, entry.outcome, commands(entry)) for entry in log]


def commands(entry):
    return [statement.command for statement in entry.statements]


async def leave_in_doubt(client, collection, fail, *documents):
    """A commit whose outcome its program does not learn; the server does not learn of it."""
    with fail("commitTransaction", **CUT_TWICE):
        async with client.start_session() as session:
            await session.start_transaction()
            for document in documents:
                await collection.insert_one(document, session=session)
            with pytest.raises(ConnectionFailure):
                await session.commit_transaction()


async def abort_at_the_server(client):
    """What a primary's end does, too: transactions that are open are gone."""
    await client.admin.command("killAllSessions", [])
