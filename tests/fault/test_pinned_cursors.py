"""Behind a load balancer an open cursor keeps its connection: no other leads to its server.

The cases of `cursors.json` of the load balancers specification, and how a cursor may end otherwise.
"""

import asyncio
import gc
import threading

import pytest
from pymongo.errors import AutoReconnect, InvalidOperation, OperationFailure
from tests.drivers import AsyncDriver, both_drivers, eventually, ferromongo_only, package
from tests.fault.balanced import balanced, commands, holder
from tests.fault.peer import MORE_TO_COME, Peer, cut, delayed
from tests.fault.peer_answers import load_balancer, standalone
from tests.fault.programs.forked import in_child

from ferromongo.embedded.certificates import make_certificates


@both_drivers
async def test_nothing_is_kept_for_a_single_batch(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find()
        assert await cursor.next() == {"_id": 0}
        assert await holder(client) is None
        assert len([document async for document in cursor]) == 2
    assert commands(peer) == [["find"]]


@both_drivers
async def test_drained(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        assert await holder(client) == "cursors"
        await cursor.next()
        await cursor.next()
        assert await holder(client) is None
        await cursor.close()
    assert commands(peer) == [["find", "getMore"]]


@both_drivers
async def test_closed(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        await cursor.close()
        assert await holder(client) is None
    assert commands(peer) == [["find", "killCursors"]]
    assert peer.cursors.killed


@both_drivers
async def test_cut_during_get_more(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.once("getMore", cut(0))
        with pytest.raises(AutoReconnect):
            await cursor.next()
        await cursor.close()
        assert await holder(client) is None
    assert commands(peer) == [["find", "getMore"]]
    assert len(peer.lines_used) == 2


@both_drivers
async def test_cut_during_kill_cursors(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        peer.once("killCursors", cut(0))
        await cursor.close()
        assert await holder(client) is None
    assert commands(peer)[0] == ["find", "killCursors"]
    assert not peer.lines_used[0].open


@both_drivers
async def test_an_error_of_get_more(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.once("getMore", {"ok": 0, "code": 7, "errmsg": "no"})
        with pytest.raises(OperationFailure) as failure:
            await cursor.next()
        assert failure.value.code == 7
        await cursor.close()
        assert await holder(client) is None
    assert commands(peer) == [["find", "getMore", "killCursors"]]


@both_drivers
async def test_an_error_that_says_the_cursor_is_gone(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.cursors.open.clear()
        with pytest.raises(OperationFailure) as failure:
            await cursor.next()
        assert failure.value.code == 43
        assert await holder(client) is None
    assert commands(peer) == [["find", "getMore"]]


async def aggregate(database):
    return await database.c.aggregate([], batchSize=2)


async def list_collections(database):
    return await database.list_collections(cursor={"batchSize": 2})


async def list_indexes(database):
    return await database.c.list_indexes()


@pytest.mark.parametrize(
    ("command", "start"),
    [
        ("aggregate", aggregate),
        ("listCollections", list_collections),
        ("listIndexes", list_indexes),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@both_drivers
async def test_other_commands_with_a_cursor(driver, command, start):
    async with balanced(driver) as (peer, client):

        def in_two_batches(request):
            request.document["batchSize"] = 2
            return peer.cursors.first_batch(request)

        peer.on(command, in_two_batches)
        cursor = await start(client.db)
        assert await holder(client) == "cursors"
        assert len([document async for document in cursor]) == 3
        assert await holder(client) is None
    assert commands(peer) == [[command, "getMore"]]


@both_drivers
async def test_two_cursors_and_others_have_a_connection_each(driver):
    async with balanced(driver, maxPoolSize=3) as (peer, client):
        cursors = [client.db.c.find(batch_size=2) for _ in range(2)]
        for cursor in cursors:
            await cursor.next()
        await client.db.c.insert_one({})
        for cursor in reversed(cursors):
            assert len(await cursor.to_list()) == 2
    assert sorted(commands(peer)) == [["find", "getMore"], ["find", "getMore"], ["insert"]]
    assert len({line.service for line in peer.lines_used}) == 3


@both_drivers
async def test_dropped(driver):
    async with balanced(driver, waitQueueTimeoutMS=5000) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        del cursor
        gc.collect()
        assert await holder(client) is None
        await eventually(driver, lambda: peer.cursors.killed)
    assert commands(peer) == [["find", "killCursors"]]


@ferromongo_only
@both_drivers
async def test_a_dropped_one_waits_for_no_answer(driver):
    """PyMongo has a task in the loop for this, which a loop that is not running cannot serve."""
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        dropping = threading.Thread(target=gc.collect)
        cursor.itself = cursor
        del cursor
        dropping.start()
        await driver.blocking(dropping.join)
        assert await holder(client) is None
        assert await client.db.c.find_one() == {"_id": 0}
    assert commands(peer) == [["find", "killCursors", "find"]]
    (killing,) = peer.of("killCursors")
    assert killing.flags == MORE_TO_COME


@ferromongo_only
def test_dropped_when_its_event_loop_has_gone():
    """PyMongo's client itself can't be used, nor closed, on a second loop."""

    async def open_cursor(client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        return cursor

    async def close(client, peer):
        await eventually(AsyncDriver(), lambda: not peer.connections[0].open)
        await client.close()

    with Peer(load_balancer) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(3)]
        client = package.AsyncMongoClient(peer.uri())
        cursor = asyncio.run(open_cursor(client))
        del cursor
        gc.collect()
        asyncio.run(close(client, peer))
    assert commands(peer) == [["find", "killCursors"]]


@both_drivers
async def test_dropped_over_tls(driver, tmp_path):
    certificates = make_certificates(tmp_path)
    with Peer(load_balancer, certificates=certificates) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(3)]
        uri = peer.uri(tls=True, tlsCAFile=certificates.ca_file, maxPoolSize=1)
        async with driver.client(uri) as client:
            cursor = client.db.c.find(batch_size=2)
            await cursor.next()
            del cursor
            gc.collect()
            await eventually(driver, lambda: peer.cursors.killed)
            assert await client.db.c.find_one() == {"_id": 0}
    assert commands(peer) == [["find", "killCursors", "find"]]


@both_drivers
async def test_a_rewound_cursor_asks_again(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        await cursor.rewind()
        assert len(await cursor.to_list()) == 3
        assert await holder(client) is None
    assert peer.seen["find"] == 2


async def test_a_cancelled_get_more_closes_the_connection():
    async with balanced(AsyncDriver()) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.once("getMore", delayed(5))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cursor.next(), 0.1)
        assert not cursor.alive
        await cursor.close()
        assert await holder(client) is None
    assert commands(peer)[0][:2] == ["find", "getMore"]
    assert len(peer.lines_used) == 2


@both_drivers
async def test_a_cursor_outlives_its_client_and_closes_the_connection(driver):
    async with balanced(driver) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.next()
        await client.close()
        with pytest.raises(InvalidOperation):
            await cursor.to_list()
        del cursor
        gc.collect()
        await eventually(driver, lambda: not any(line.open for line in peer.connections))


@ferromongo_only
def test_a_connection_is_not_taken_to_another_event_loop():
    """PyMongo's client itself can't be used on a second loop."""

    async def open_cursor(client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        return cursor

    async def go_on(cursor):
        with pytest.raises(InvalidOperation, match="cursor belongs to another event loop"):
            await cursor.next()

    async def check():
        async with balanced(AsyncDriver()) as (peer, client):
            cursor = await open_cursor(client)
            await asyncio.to_thread(asyncio.run, go_on(cursor))
            del cursor
            gc.collect()
            assert await holder(client) is None
            assert [line.open for line in peer.lines_used] == [True]

    asyncio.run(check())


@ferromongo_only
async def test_two_callers_of_one_cursor():
    async with balanced(AsyncDriver()) as (peer, client):
        cursor = client.db.c.find(batch_size=2)
        await cursor.to_list(2)
        peer.once("getMore", delayed(0.05))
        results = await asyncio.gather(cursor.next(), cursor.next(), return_exceptions=True)
        assert results[0] == {"_id": 2}
        assert isinstance(results[1], RuntimeError)
        assert await holder(client) is None


def test_a_forked_child_leaves_the_parents_connection_alone():
    with Peer(load_balancer) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(3)]
        with package.MongoClient(peer.uri(maxPoolSize=1)) as client:
            cursors = [client.db.c.find(batch_size=2)]
            next(cursors[0])

            def drop():
                cursors.clear()
                gc.collect()
                return "dropped"

            assert in_child(drop)() == "dropped"
            assert len(cursors[0].to_list()) == 2
    assert commands(peer) == [["find", "getMore"]]


@pytest.mark.filterwarnings("ignore:MongoClient opened before fork")
@pytest.mark.parametrize(
    "role",
    [
        standalone,
        # PyMongo's child shares the pinned connection with its parent.
        pytest.param(load_balancer, marks=ferromongo_only),
    ],
    ids=lambda role: role.__name__,
)
def test_a_forked_child_may_go_on_with_a_cursor_over_a_connection_of_its_own(role):
    with Peer(role) as peer:
        peer.cursors.documents = [{"_id": n} for n in range(3)]
        with package.MongoClient(peer.uri(maxPoolSize=1)) as client:
            cursor = client.db.c.find(batch_size=2)
            next(cursor)

            assert in_child(cursor.to_list)() == [{"_id": 1}, {"_id": 2}]
            with pytest.raises(OperationFailure):  # the child has read it to its end
                cursor.to_list()
    find, get_more = peer.of("find", "getMore")[:2]
    assert find.connection is not get_more.connection
