"""Exhaust cursors: the server sends batch after batch over the cursor's own connection, unasked."""

import asyncio
import contextlib
import gc

import pytest
from pymongo import CursorType, monitoring
from pymongo.errors import AutoReconnect, InvalidOperation, OperationFailure, ProtocolError
from tests.drivers import AsyncDriver, both_drivers, eventually, ferromongo_only
from tests.fault.peer import EXHAUST_ALLOWED, MORE_TO_COME, Peer, cut
from tests.fault.peer_answers import load_balancer, mongos, standalone
from tests.listeners import Recorder

from ferromongo.embedded.certificates import make_certificates

EXHAUST = {"cursor_type": CursorType.EXHAUST, "batch_size": 2}
NUMBERS = list(range(9))


@contextlib.asynccontextmanager
async def streaming(driver, role=standalone, certificates=None, hello=(), **options):
    """A server of nine documents that streams when it may, and a client with one connection."""
    with Peer(role, certificates=certificates, **dict(hello)) as peer:
        peer.cursors.documents = [{"_id": n} for n in NUMBERS]
        peer.on("getMore", stream)
        async with driver.client(peer.uri(), maxPoolSize=1, **options) as client:
            yield peer, client


def stream(request, pause=0, **lies):
    """All that is left, in batches, as fast as they are taken. `lies` are of the second reply."""
    answer = request.peer.cursors.next_batch(request)
    number = 100
    more = request.exhaust and answer["cursor"]["id"] != 0
    flags = MORE_TO_COME if more else 0
    request.connection.send(request.message(answer, flags=flags, number=number))
    while more:
        request.connection.wait(pause)
        answer = request.peer.cursors.next_batch(request)
        more = answer["cursor"]["id"] != 0
        about = {"flags": MORE_TO_COME if more else 0, "to": number, "number": number + 1, **lies}
        request.connection.send(request.message(answer, **about))
        number, lies = number + 1, {}


async def numbers(cursor):
    return [document["_id"] async for document in cursor]


@both_drivers
async def test_one_get_more_brings_all(driver):
    async with streaming(driver) as (peer, client):
        cursor = client.db.c.find(**EXHAUST)
        assert await numbers(cursor) == NUMBERS
        await client.db.c.insert_one({})
    assert peer.seen == {"find": 1, "getMore": 1, "insert": 1, "endSessions": 1}
    find, get_more = peer.of("find", "getMore")
    assert (find.flags, get_more.flags) == (0, EXHAUST_ALLOWED)
    assert len(peer.lines_used) == 1


@both_drivers
async def test_the_reader_is_slower_than_the_server(driver):
    """Batches that are here already, several in one piece, wait their turn."""
    async with streaming(driver) as (peer, client):
        found = []
        async for document in client.db.c.find(**EXHAUST):
            found.append(document["_id"])
            await driver.sleep(0.02)
        assert found == NUMBERS
    assert peer.seen["getMore"] == 1


@both_drivers
async def test_the_server_is_slower_than_the_reader(driver):
    async with streaming(driver) as (peer, client):
        peer.on("getMore", lambda request: stream(request, pause=0.02))
        assert await numbers(client.db.c.find(**EXHAUST)) == NUMBERS
    assert peer.seen["getMore"] == 1


@both_drivers
async def test_over_tls(driver, tmp_path):
    certificates = make_certificates(tmp_path)
    options = {"tls": True, "tlsCAFile": str(certificates.ca_file)}
    async with streaming(driver, certificates=certificates, **options) as (peer, client):
        found = []
        async for document in client.db.c.find(**EXHAUST):
            found.append(document["_id"])
            await driver.sleep(0.005)
        assert found == NUMBERS
    assert peer.seen["getMore"] == 1


@both_drivers
async def test_a_server_that_does_not_stream_is_asked_for_each_batch(driver):
    async with streaming(driver) as (peer, client):
        peer.sane()
        assert await numbers(client.db.c.find(**EXHAUST)) == NUMBERS
    assert peer.seen["getMore"] == 4


@both_drivers
async def test_closed_midway_the_connection_is_closed(driver):
    async with streaming(driver) as (peer, client):
        cursor = client.db.c.find(**EXHAUST)
        assert len(await cursor.to_list(4)) == 4
        await cursor.close()
        assert not cursor.alive
        await client.db.c.insert_one({})
        await eventually(driver, lambda: not peer.lines_used[0].open)
    assert [line.commands.count("getMore") for line in peer.lines_used] == [1, 0]
    assert peer.seen["killCursors"] == 0


@both_drivers
async def test_closed_before_it_streams_it_is_killed(driver):
    async with streaming(driver) as (peer, client):
        cursor = client.db.c.find(**EXHAUST)
        await cursor.next()
        await cursor.close()
        await client.db.c.insert_one({})
    assert peer.cursors.killed
    assert len(peer.lines_used) == 1


@both_drivers
async def test_dropped_midway(driver):
    async with streaming(driver, waitQueueTimeoutMS=5000) as (peer, client):
        cursor = client.db.c.find(**EXHAUST)
        await cursor.to_list(3)
        del cursor
        gc.collect()
        await client.db.c.insert_one({})
        await eventually(driver, lambda: not peer.lines_used[0].open)
    assert peer.seen["killCursors"] == 0


@both_drivers
async def test_listeners_hear_a_command_for_each_batch(driver):
    recorder = Recorder()
    async with streaming(driver, event_listeners=[recorder]) as (_, client):
        cursor = client.db.c.find(**EXHAUST)
        await cursor.to_list(5)
        await cursor.close()
        await client.db.c.insert_one({})
    commands = [event.command_name for event in recorder.of(monitoring.CommandSucceededEvent)]
    assert commands[:4] == ["find", "getMore", "getMore", "insert"]
    closed = recorder.of(monitoring.ConnectionClosedEvent)
    assert closed[0].reason == "error"


@both_drivers
async def test_an_error_within_the_stream(driver):
    async with streaming(driver) as (peer, client):
        refused = {"ok": 0.0, "code": 11601, "errmsg": "interrupted"}

        def act(request):
            first = peer.cursors.next_batch(request)
            connection = request.connection
            connection.send(request.message(first, flags=MORE_TO_COME, number=5))
            connection.send(request.message(refused, flags=0, to=5, number=6))

        peer.on("getMore", act)
        cursor = client.db.c.find(**EXHAUST)
        assert len(await cursor.to_list(4)) == 4
        with pytest.raises(OperationFailure) as failure:
            await cursor.next()
        assert failure.value.code == 11601
        assert not cursor.alive
        await client.db.c.insert_one({})
    assert len(peer.lines_used) == 1
    assert peer.seen["killCursors"] == 0


@both_drivers
async def test_a_stream_that_is_cut(driver):
    async with streaming(driver) as (peer, client):

        def act(request):
            first = peer.cursors.next_batch(request)
            request.connection.send(request.message(first, flags=MORE_TO_COME, number=5))
            request.connection.hang_up()

        peer.on("getMore", act)
        cursor = client.db.c.find(**EXHAUST)
        assert len(await cursor.to_list(4)) == 4
        with pytest.raises(AutoReconnect):
            await cursor.next()
        assert not cursor.alive
        await client.db.c.insert_one({})
    assert len(peer.lines_used) == 2


@ferromongo_only
@both_drivers
async def test_a_batch_of_another_stream_is_refused(driver):
    """PyMongo does not look whom a streamed reply answers."""
    async with streaming(driver) as (peer, client):
        peer.on("getMore", lambda request: stream(request, to=7))
        cursor = client.db.c.find(**EXHAUST)
        assert len(await cursor.to_list(4)) == 4
        with pytest.raises(ProtocolError):
            await cursor.next()
        await client.db.c.insert_one({})
    assert len(peer.lines_used) == 2


@both_drivers
async def test_an_old_mongos_is_not_asked(driver):
    async with streaming(driver, mongos) as (peer, client):
        with pytest.raises(InvalidOperation, match=r"MongoDB 7\.1"):
            await client.db.c.find(**EXHAUST).next()
        await client.db.c.insert_one({})
    assert peer.seen["find"] == 0
    assert len(peer.lines_used) == 1


@pytest.mark.parametrize(
    ("role", "hello"),
    [(mongos, {"maxWireVersion": 22}), (load_balancer, {})],
    ids=["mongos", "balanced"],
)
@both_drivers
async def test_behind_others_it_streams(driver, role, hello):
    async with streaming(driver, role, hello=hello) as (peer, client):
        assert await numbers(client.db.c.find(**EXHAUST)) == NUMBERS
    assert peer.seen["getMore"] == 1


async def test_cancelled_while_it_waits_for_the_stream():
    async with streaming(AsyncDriver()) as (peer, client):
        peer.on("getMore", lambda request: stream(request, pause=5))
        cursor = client.db.c.find(**EXHAUST)
        assert len(await cursor.to_list(4)) == 4
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cursor.next(), 0.1)
        assert not cursor.alive
        await client.db.c.insert_one({})
    assert len(peer.lines_used) == 2


@both_drivers
async def test_the_first_get_more_fails(driver):
    async with streaming(driver) as (peer, client):
        peer.once("getMore", cut(0))
        cursor = client.db.c.find(**EXHAUST)
        await cursor.to_list(2)
        with pytest.raises(AutoReconnect):
            await cursor.next()
        await cursor.rewind()
        assert await numbers(cursor) == NUMBERS
    assert peer.seen["find"] == 2
