"""A load balancer in front of services, and a client with one connection: who has it?"""

import contextlib
import re

from pymongo.errors import WaitQueueTimeoutError
from tests.fault.peer import Peer
from tests.fault.peer_answers import load_balancer


@contextlib.asynccontextmanager
async def balanced(driver, **options):
    """The balancer and a client of it."""
    options = {"maxPoolSize": 1, "waitQueueTimeoutMS": 50, **options}
    with Peer(load_balancer) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(3)]
        async with driver.client(peer.uri(), **options) as client:
            yield peer, client


async def holder(client):
    """Who has the client's only connection: "cursors", "transactions" or nobody."""
    try:
        await client.admin.command("ping")
    except WaitQueueTimeoutError as error:
        counts = dict(re.findall(r"in use by (\w+)[\w ]*: (\d+)", str(error)))
        (found,) = (name for name, count in counts.items() if count != "0")
        assert counts[found] == "1"
        return found
    return None


def commands(peer):
    """What came over each connection, hello aside and what `holder` sends, oldest first."""
    lines = [[n for n in line.commands if n not in AROUND] for line in peer.connections]
    return [line for line in lines if line]


AROUND = ("hello", "ping", "endSessions")
