"""Every kind of asynchronous iterator there is, over what `fill` stores; the same in both packages.

A kind is a function of a client and its database that answers the iterator. `plain` makes of its
items what can be compared.
"""

import importlib

import bson
import gridfs
from bson.raw_bson import RawBSONDocument
from pymongo import CursorType

KINDS = {}


def fill(client, name):
    """Store what the kinds find, by PyMongo's client."""
    db = client[name]
    db.c.insert_many([{"_id": n} for n in range(7)])
    db.create_collection("capped", capped=True, size=4096)
    db.capped.insert_many([{"_id": n} for n in range(4)])
    no_utf8 = bson.encode({"_id": 0, "s": "text"}).replace(b"text", b"\xff\xfe\xfd\xfc")
    db.undecodable.insert_one(RawBSONDocument(no_utf8))
    files = gridfs.GridFSBucket(db, chunk_size_bytes=4)
    for n in range(3):
        files.upload_from_stream(f"file {n}", b"one\ntwo\nthree\n")


def grid_module(client, name):
    """A module of the GridFS that belongs to the client."""
    package = type(client).__module__.partition(".")[0]
    return importlib.import_module({"pymongo": "gridfs"}.get(package, "ferromongo.gridfs") + name)


def bucket(client, db):
    return grid_module(client, "").AsyncGridFSBucket(db)


def plain(item):
    if isinstance(item, (bytes, BaseException)):
        return item
    if hasattr(item, "filename"):
        return item.filename
    if "operationType" in item:  # tokens and times differ
        return item["operationType"], item.get("documentKey")
    if "sizeOnDisk" in item:
        return item["name"]
    return {name: value for name, value in item.items() if name != "info"}


def kind(function):
    KINDS[function.__name__] = function
    return function


def _find(db, **options):
    return db.c.find(batch_size=3, sort=[("_id", 1)], **options)


@kind
async def find(client, db):
    return _find(db)


@kind
async def find_in_a_session(client, db):
    return _find(db, session=client.start_session())


@kind
async def find_nothing(client, db):
    return db.c.find({"_id": -1})


@kind
async def find_closed(client, db):
    cursor = _find(db)
    await cursor.close()
    return cursor


@kind
async def find_closed_midway(client, db):
    cursor = _find(db)
    await cursor.next()
    await cursor.close()
    return cursor


@kind
async def find_refused(client, db):
    return db.c.find({"_id": {"$nonsense": 1}})


@kind
async def find_undecodable(client, db):
    return db.undecodable.find()


@kind
async def find_raw_batches(client, db):
    return db.c.find_raw_batches(batch_size=3, sort=[("_id", 1)])


@kind
async def find_exhaust(client, db):
    return _find(db, cursor_type=CursorType.EXHAUST)


@kind
async def find_tailable(client, db):
    return db.capped.find(cursor_type=CursorType.TAILABLE, batch_size=3)


@kind
async def find_tailable_await(client, db):
    cursor = db.capped.find(cursor_type=CursorType.TAILABLE_AWAIT, batch_size=3)
    return cursor.max_await_time_ms(20)


@kind
async def aggregate(client, db):
    return await db.c.aggregate([{"$sort": {"_id": 1}}], batchSize=3)


@kind
async def aggregate_nothing(client, db):
    return await db.c.aggregate([{"$match": {"_id": -1}}])


@kind
async def aggregate_closed(client, db):
    cursor = await db.c.aggregate([])
    await cursor.close()
    return cursor


@kind
async def aggregate_raw_batches(client, db):
    return await db.c.aggregate_raw_batches([{"$sort": {"_id": 1}}], batchSize=3)


@kind
async def list_collections(client, db):
    return await db.list_collections(filter={"name": "c"})


@kind
async def list_databases(client, db):
    return await client.list_databases(filter={"name": db.name})


@kind
async def list_indexes(client, db):
    return await db.c.list_indexes()


@kind
async def cursor_command(client, db):
    return await db.cursor_command({"find": "c", "sort": {"_id": 1}, "batchSize": 3})


@kind
async def grid_out_lines(client, db):
    return await bucket(client, db).open_download_stream_by_name("file 0")


@kind
async def grid_out_cursor(client, db):
    return bucket(client, db).find({}, batch_size=2, sort=[("filename", 1)])


@kind
async def grid_out_iterator(client, db):
    file = await bucket(client, db).open_download_stream_by_name("file 0")
    asynchronous = grid_module(client, ".asynchronous.grid_file")
    return asynchronous.AsyncGridOutIterator(file, db.fs.chunks, None)


async def _watched(target, db):
    await db.watched.drop()
    stream = await target.watch([{"$match": {"ns.db": db.name}}], max_await_time_ms=50)
    await db.watched.insert_many([{"_id": n} for n in range(5)])
    return stream


@kind
async def stream_of_a_collection_that_is_dropped(client, db):
    stream = await _watched(db.watched, db)
    await db.watched.drop()
    return stream


@kind
async def stream_of_a_database_that_is_dropped(client, db):
    other = client[f"{db.name}_dropped"]
    stream = await _watched(other, other)
    await client.drop_database(other)
    return stream


@kind
async def stream_closed(client, db):
    stream = await _watched(client, db)
    await stream.close()
    return stream
