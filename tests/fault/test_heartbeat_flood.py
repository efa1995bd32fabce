"""A server that answers hello without end, and a listener that is slow."""

import threading

import pytest
from pymongo import monitoring
from tests.drivers import both_drivers, eventually, ferromongo_only
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set
from tests.listeners import Recorder

FLOOD = 6000
STARTED = monitoring.ServerHeartbeatStartedEvent


class Slow(monitoring.ServerHeartbeatListener):
    """Blocks until it is released."""

    def __init__(self):
        self.release = threading.Event()
        self.told = []

    def started(self, event):
        self.told.append(event)
        if len(self.told) > 8:
            assert self.release.wait(120)

    succeeded = failed = started


@ferromongo_only  # PyMongo's monitors wait for each event, ours for a long queue
@pytest.mark.parametrize("changing", [False, True], ids=["same", "changing"])
@both_drivers
async def test_a_flood_of_heartbeats_uses_bounded_memory(driver, changing):
    slow, recorder = Slow(), Recorder()
    with Peer(replica_set, streams=True) as peer:
        flood = Flood(changing=changing)
        peer.on("hello", flood)
        options = {"event_listeners": [slow, recorder], "serverSelectionTimeoutMS": 60_000}
        async with driver.client(peer.uri(), **options) as client:
            await client.admin.command("ping")
            queue = client._publisher.queue
            longest = 0

            def flooded():
                nonlocal longest
                longest = max(longest, len(queue))
                return flood.ended and longest >= 1000

            await eventually(driver, flooded, timeout=120)
            # Operations continue, and their events are delivered.
            for _ in range(3):
                assert (await client.admin.command("ping"))["ok"] == 1
            assert len(recorder.commands("ping")) == 8
            # The bound, and per server the end of a check and the change that it made.
            assert longest <= 1010
            slow.release.set()
            await eventually(driver, lambda: len(queue) == 0, timeout=120)
            # The latest answer is not lost.
            await eventually(driver, lambda: _tags(client) == {"last": "yes"}, timeout=60)
        started = sum(isinstance(event, STARTED) for event in slow.told)
        ended = len(slow.told) - started
        assert 0 <= started - ended <= 1  # but for the check that the end cut off


def _tags(client):
    (server,) = client.topology_description.server_descriptions().values()
    return server.tags


class Flood:
    """The script of hello: the first streaming monitor gets replies without end."""

    def __init__(self, *, changing):
        self.changing = changing
        self.sent, self.begun, self.ended = 0, False, False

    def __call__(self, request):
        peer = request.peer
        if self.begun or "maxAwaitTimeMS" not in request.document:
            peer.await_change(request)
            tags = {"tags": {"last": "yes"}} if self.ended else {}
            return peer.hello(request) | tags
        self.begun = True
        number, hello = request.number, peer.hello(request)
        while self.sent < FLOOD:
            self.sent += 1
            tags = {"n": str(self.sent)} if self.changing else {}
            if self.sent == FLOOD:
                tags = {"last": "yes"}
            message = request.message(hello | {"tags": tags}, to=number, number=FIRST + self.sent)
            request.connection.send(message)
            number = FIRST + self.sent
        self.ended = True
        peer.stopping.wait()
        return None


FIRST = 1_000_000
"""The number of the first reply."""
