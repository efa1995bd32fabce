"""A cursor's reply need not name the namespace: some servers, and proxies, leave it out. The
getMores then go where PyMongo's do."""

import bson
import pymongo
import pytest
from tests.drivers import AsyncDriver, Awaitable, SyncDriver
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set

import ferromongo

CURSORS = {
    "find": lambda db: db.x.find(batch_size=2),
    "find with dots": lambda db: db.x.y.z.find(batch_size=2),
    "raw": lambda db: db.x.find_raw_batches(batch_size=2),
    "aggregate": lambda db: db.x.aggregate([], batchSize=2),
    "aggregate of a database": lambda db: db.aggregate([{"$documents": []}], batchSize=2),
    "list_indexes": lambda db: db.x.list_indexes(),
    "list_collections": lambda db: db.list_collections(),
    "cursor_command": lambda db: db.cursor_command("find", "x", batchSize=2),
    "watch": lambda db: db.x.watch(batch_size=2),
    "watch of a database": lambda db: db.watch(batch_size=2),
}
DOCUMENTS = [{"_id": {"_data": str(n)}, "key": {"a": 1}, "name": str(n)} for n in range(5)]


def without(namespace, also_later):
    """What a server would answer, less the namespace (or with another one)."""

    def change(request):
        if request.name in ("listIndexes", "listCollections"):
            request.document["cursor"] = {"batchSize": 2}
            reply = request.peer.cursors.first_batch(request)
        else:
            reply = request.ordinary()
        if "cursor" in reply and (also_later or request.name != "getMore"):
            del reply["cursor"]["ns"]
            if namespace is not None:
                reply["cursor"]["ns"] = namespace
        return reply

    return change


@pytest.mark.parametrize("also_later", [False, True], ids=["first", "all"])
@pytest.mark.parametrize("kind", CURSORS)
@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda it: it.name)
def test_get_more_without_a_namespace_in_the_reply_is_as_with_pymongo(
    driver_class, kind, also_later
):
    driver = driver_class()
    theirs, ours = (
        driver.run(play(driver, package, kind, without(None, also_later)))
        for package in (pymongo, ferromongo)
    )
    assert len(ours[0]) >= 4
    if kind == "cursor_command":
        # PyMongo's go to "$cmd", where no server has the cursor.
        assert theirs[1] == [("getMore", "d", "$cmd")]
        theirs = theirs[0], [("getMore", "d", "x")]
    assert ours == theirs


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda it: it.name)
def test_an_empty_namespace_is_ignored_and_another_one_is_used(driver_class):
    driver = driver_class()
    for namespace, asked in (("", ("d", "x")), ("e.other", ("e", "other"))):
        theirs, ours = (
            driver.run(play(driver, package, "find", without(namespace, False)))
            for package in (pymongo, ferromongo)
        )
        assert ours == theirs
        assert ours[1][0] == ("getMore", *asked)


async def play(driver, package, kind, answer):
    """The names of the documents, and where getMore and killCursors went."""
    name = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    with Peer(replica_set) as peer:
        peer.cursors.documents = DOCUMENTS
        for command in ("find", "aggregate", "listIndexes", "listCollections", "getMore"):
            peer.on(command, answer)
        client = getattr(package, name)(peer.uri())
        async with Awaitable(client) if driver.name == "sync" else client as client:
            cursor = CURSORS[kind](client.d)
            if hasattr(cursor, "__await__"):
                cursor = await cursor
            found = [await anext(cursor) for _ in range(2 if kind == "raw" else 4)]
            await cursor.close()
        asked = [
            (request.name, request.document["$db"], request.document.get("collection"))
            for request in peer.of("getMore", "killCursors")
        ]
        if kind == "raw":
            found = [document for batch in found for document in bson.decode_all(batch)]
        return [document["name"] for document in found], asked
