"""Motor's manners: the same program with Motor and with `ferromongo.motor_asyncio`, side by side.

A program is an `async def` that takes a collection and lists what it observes. It runs with both
on databases of its own, and what is observed must be the same.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import importlib
import pickle
import warnings

import pymongo
import pytest
from bson import ObjectId
from pymongo import InsertOne, ReadPreference, UpdateOne, WriteConcern
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener

MODULES = ("motor.motor_asyncio", "ferromongo.motor_asyncio")
PROGRAMS = []


def program(body):
    PROGRAMS.append(body)
    return body


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("body", PROGRAMS, ids=lambda body: body.__name__)
def test_same_as_motor(body, mongodb_uri):
    theirs, ours = (asyncio.run(observed(name, body, mongodb_uri)) for name in MODULES)
    assert ours == theirs
    assert theirs, "nothing was observed"


async def observed(name, body, uri):
    module = importlib.import_module(name)
    client = module.AsyncIOMotorClient(uri)
    database = client[f"motor_{ObjectId()}"]
    try:
        return await body(module, database.things)
    finally:
        await client.drop_database(database)
        client.close()


async def raised(awaitable):
    """The error that awaiting raises, by its class."""
    try:
        await awaitable
    except Exception as error:
        return type(error)
    return None


def raised_at_once(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        return type(error)
    return None


async def filled(collection, count=250):
    await collection.insert_many([{"_id": number} for number in range(count)])


class Heard(CommandListener):
    """The names of commands."""

    def __init__(self):
        self.names = []

    def started(self, event):
        self.names.append(event.command_name)

    def succeeded(self, event):
        pass

    failed = succeeded


@program
async def operations_return_futures(module, collection):
    names = []
    for call in (
        lambda: collection.insert_one({"_id": 1}),
        lambda: collection.find_one({"_id": 1}),
        lambda: collection.count_documents({}),
        lambda: collection.create_index("x"),
        lambda: collection.index_information(),
        lambda: collection.options(),
        lambda: collection.bulk_write([InsertOne({}), UpdateOne({}, {"$set": {"x": 1}})]),
        lambda: collection.database.command("ping"),
        lambda: collection.database.list_collection_names(),
        lambda: collection.database.client.server_info(),
        lambda: collection.find().to_list(1),
        lambda: collection.find().distinct("x"),
        lambda: collection.find().explain(),
        lambda: collection.drop(),
    ):
        future = call()
        names.append((asyncio.isfuture(future), asyncio.iscoroutine(future), future.done()))
        await future
    return names


@program
async def some_methods_are_coroutines(module, collection):
    client = collection.database.client
    seen = []
    for call in (
        client.start_session,
        client.list_databases,
        collection.database.list_collections,
        functools.partial(collection.database.create_collection, "other"),
        functools.partial(collection.database.cursor_command, "find", "other"),
        collection.find().next,
        collection.find().close,
        collection.watch().close,
    ):
        coroutine = call()
        seen.append(asyncio.iscoroutine(coroutine))
        try:
            await coroutine
        except StopAsyncIteration:
            seen.append("stop")
    return seen


@program
async def a_future_is_awaited_twice(module, collection):
    future = collection.insert_one({"_id": 1})
    first = await future
    return [first is await future, future.result() is first, future.get_loop().is_running()]


@program
async def an_operation_begins_without_await(module, collection):
    collection.insert_one({"_id": "unawaited"})
    for _ in range(500):
        if await collection.find_one({"_id": "unawaited"}):
            break
        await asyncio.sleep(0.01)
    return [await collection.find_one()]


@program
async def futures_are_gathered(module, collection):
    results = await asyncio.gather(*(collection.insert_one({"_id": n}) for n in range(30)))
    found = await asyncio.gather(*(collection.find_one({"_id": n}) for n in range(31)))
    return [[result.inserted_id for result in results], found]


@program
async def errors_come_when_the_future_is_awaited(module, collection):
    await collection.insert_one({"_id": 1})
    futures = [
        collection.insert_one({"_id": 1}),
        collection.insert_one(5),
        collection.update_one({}, {"x": 1}),
        collection.insert_many([]),
        collection.distinct(5),
        collection.database.command("nothing"),
        collection.find_one({"$nothing": 1}),
        collection.drop_index("nothing"),
        collection.rename("a..b"),
    ]
    return [await raised(future) for future in futures]


@program
async def callbacks_of_a_future_are_called(module, collection):
    order = []
    future = collection.find_one()
    future.add_done_callback(lambda done: order.append(done.result()))
    order.append("before")
    await future
    await asyncio.sleep(0)
    return order


@program
async def writes_and_reads(module, collection):
    results = [
        (await collection.insert_one({"_id": 1, "n": 1})).inserted_id,
        (await collection.insert_many([{"_id": 2}, {"_id": 3}])).inserted_ids,
        (await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})).modified_count,
        (await collection.update_many({}, {"$set": {"k": 1}})).matched_count,
        (await collection.replace_one({"_id": 2}, {"r": 1}, upsert=True)).raw_result["n"],
        (await collection.delete_one({"_id": 3})).deleted_count,
        (await collection.bulk_write([InsertOne({"_id": 4})])).inserted_count,
        await collection.find_one({"_id": 1}),
        await collection.find_one(1),
        await collection.find_one({"_id": 1}, {"n": 1, "_id": 0}),
        await collection.find_one_and_update({"_id": 1}, {"$set": {"u": 1}}, return_document=True),
        await collection.find_one_and_replace({"_id": 4}, {"x": 4}),
        await collection.find_one_and_delete({"_id": 4}),
        await collection.count_documents({}),
        await collection.estimated_document_count(),
        await collection.distinct("k"),
        await collection.create_index([("k", 1)], name="by_k"),
        sorted(await collection.index_information()),
        await collection.drop_index("by_k"),
        await collection.options(),
        (await collection.rename("renamed"))["ok"],
        await collection.database.list_collection_names(),
        (await collection.delete_many({})).deleted_count,
    ]
    return results


@program
async def options_of_collections_and_databases(module, collection):
    concern = WriteConcern(w=1)
    other = collection.with_options(write_concern=concern)
    database = collection.database.with_options(read_preference=ReadPreference.SECONDARY)
    typed = collection.database.get_collection("typed", write_concern=concern)
    return [
        type(other).__name__,
        other.write_concern,
        other == collection,
        other.database is collection.database,
        type(database).__name__,
        database.read_preference,
        database == collection.database,
        typed.write_concern,
        typed.codec_options == collection.codec_options,
        typed.read_concern.document,
        typed.full_name == f"{collection.database.name}.typed",
    ]


@program
async def names_and_items(module, collection):
    client, database = collection.database.client, collection.database
    return [
        type(client.other).__name__,
        type(database.other).__name__,
        collection.sub.name,
        collection["sub"]["more"].name,
        raised_at_once(getattr, client, "_private"),
        raised_at_once(getattr, database, "_private"),
        raised_at_once(getattr, collection, "_private"),
        raised_at_once(client.nothing),
        raised_at_once(database.nothing),
        raised_at_once(collection.nothing),
        raised_at_once(database.__getitem__, "a..b"),
        raised_at_once(client.__getitem__, "a b"),
        raised_at_once(module.AsyncIOMotorCollection, 5, "x"),
        raised_at_once(module.AsyncIOMotorGridFSBucket, 5),
        raised_at_once(bool, database),
        raised_at_once(bool, collection),
        bool(client),
        raised_at_once(iter, database),
    ]


@program
async def equality_and_hashes(module, collection):
    client, database = collection.database.client, collection.database
    cursor = collection.find()
    return [
        client[database.name] == database,
        database.things == collection,
        database.others == collection,
        hash(database.things) == hash(collection),
        len({collection, database.things, database.others}),
        hash(client) == hash(client),
        collection != database.things,
        collection == 5,
        raised_at_once(hash, cursor),
        cursor == collection.find(),
    ]


@program
async def reprs_name_the_delegate(module, collection):
    shown = repr(collection)
    assert shown == f"AsyncIOMotorCollection({collection.delegate!r})"
    return [
        shown.partition("Collection(")[0],
        repr(collection.database).partition("(MongoClient")[0],
        repr(collection.database.client).partition("host")[0],
    ]


@program
async def delegates_are_synchronous(module, collection):
    await collection.insert_one({"_id": 1})
    client, database = collection.database.client, collection.database
    found = await asyncio.to_thread(collection.delegate.find_one)
    return [
        found,
        type(collection.delegate).__name__,
        type(database.delegate).__name__,
        type(client.delegate).__name__,
        type(collection.find().delegate).__name__,
        collection.watch().delegate,
        client.wrap(database.delegate) == database,
        database.wrap(collection.delegate) == collection,
        database.wrap(5),
        collection.wrap(collection.delegate) == collection,
        type(collection.wrap(collection.delegate)).__name__,
    ]


@program
async def copies(module, collection):
    cursor = collection.find({"x": {"y": 1}}).sort("_id").limit(3)
    return [
        type(copy.copy(cursor)).__name__,
        type(copy.deepcopy(cursor)).__name__,
        copy.copy(cursor).collection is collection,
        cursor.clone() is cursor,
        [raised_at_once(pickle.dumps, one) is not None for one in (collection, cursor)],
    ]


@program
async def chain_methods_return_the_cursor(module, collection):
    await filled(collection, 10)
    cursor = collection.find()
    same = [
        cursor.sort("_id", -1) is cursor,
        cursor.limit(5) is cursor,
        cursor.skip(1) is cursor,
        cursor.batch_size(2) is cursor,
        cursor.hint([("_id", 1)]) is cursor,
        cursor.comment("x") is cursor,
        cursor.max_time_ms(10_000) is cursor,
        cursor.where("true") is cursor,
        cursor.collation(None) is cursor,
        cursor.allow_disk_use(True) is cursor,
        cursor.add_option(16) is cursor,
        cursor.remove_option(16) is cursor,
    ]
    found = [document["_id"] async for document in cursor]
    refused = raised_at_once(cursor.limit, 3)
    return [same, found, refused, raised_at_once(collection.find().sort, 5)]


@program
async def to_list(module, collection):
    await filled(collection)
    cursor = collection.find().sort("_id")
    pages = [[d["_id"] for d in await cursor.to_list(length)] for length in (100, 0, 7, None, 5)]
    return [
        pages,
        cursor.alive,
        len(await collection.find().to_list()),
        len(await collection.find().batch_size(3).to_list(length=10)),
        len(await collection.find().limit(7).to_list(100)),
        await collection.find({"_id": -1}).to_list(5),
        raised_at_once(collection.find().to_list, "5"),
        raised_at_once(collection.find().to_list, -1),
        await raised(collection.find({"$nothing": 1}).to_list(1)),
        raised_at_once(collection.find(cursor_type=pymongo.CursorType.TAILABLE).to_list, 1),
        len(await collection.find().to_list(True)),
    ]


@program
async def to_list_goes_on_where_iteration_stopped(module, collection):
    await filled(collection)
    cursor = collection.find().sort("_id")
    first = await cursor.next()
    second = [await anext(cursor) for _ in range(3)]
    rest = await cursor.to_list(None)
    return [first, second, len(rest), rest[0], await raised_stop(cursor)]


async def raised_stop(cursor):
    try:
        await cursor.next()
    except StopAsyncIteration:
        return "stop"
    except Exception as error:
        return type(error)


@program
async def iteration_ends_with_the_cursor(module, collection):
    await filled(collection, 5)
    cursor = collection.find().batch_size(2)
    states = [(cursor.alive, cursor.started, cursor.closed)]
    async for _ in cursor:
        pass
    states.append((cursor.alive, cursor.started, cursor.closed, int(cursor.cursor_id)))
    await cursor.close()
    states.append((cursor.alive, cursor.closed))
    async with collection.find().batch_size(2) as other:
        await other.next()
    states.append((other.closed, await raised_stop(other)))
    return states


@program
async def rewound_cursors_start_over(module, collection):
    await filled(collection, 5)
    cursor = collection.find().sort("_id")
    await cursor.next()
    rewound = cursor.rewind()
    again = await cursor.to_list(2)
    return [rewound is cursor, again, (await cursor.clone().to_list(1))]


@program
async def fetch_next_and_next_object(module, collection):
    await filled(collection, 5)
    cursor = collection.find().sort("_id").batch_size(2)
    seen = [cursor.next_object()]
    while await cursor.fetch_next:
        seen.append(cursor.next_object())
    seen += [bool(await cursor.fetch_next), cursor.next_object(), cursor.alive]
    mixed = collection.find().sort("_id")
    await mixed.fetch_next
    seen += [await mixed.next(), mixed.next_object()]
    peeked = collection.find().sort("_id")
    await peeked.fetch_next
    seen += [await peeked.to_list(2), await peeked.to_list(None)]
    aggregate = collection.aggregate([{"$sort": {"_id": 1}}, {"$limit": 2}])
    while await aggregate.fetch_next:
        seen.append(aggregate.next_object())
    return seen


@program
async def closed_cursors_keep_what_they_have_fetched(module, collection):
    await filled(collection, 10)
    seen = []
    for make in (
        lambda: collection.find().batch_size(3),
        lambda: collection.aggregate([], batchSize=3),
    ):
        for before in ("fetch_next", "next", "to_list", None):
            cursor = make()
            if before == "fetch_next":
                await cursor.fetch_next
            elif before == "next":
                await cursor.next()
            elif before == "to_list":
                await cursor.to_list(1)
            elif isinstance(cursor, module.AsyncIOMotorLatentCommandCursor):
                continue  # Motor's runs the aggregation after `close`
            await cursor.close()
            seen.append((before, cursor.alive, cursor.next_object(), await cursor.to_list(None)))
            seen.append((cursor.alive, await cursor.fetch_next, cursor.next_object()))
    async with collection.find() as cursor:
        await cursor.fetch_next
    seen.append([document async for document in cursor])
    return seen


@program
async def fetch_next_warns(module, collection):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cursor = collection.find()
        await cursor.fetch_next
        cursor.next_object()
    return [warning.category for warning in caught]


@program
async def each_calls_back(module, collection):
    await filled(collection, 5)

    async def collected(cursor, stop_at=None):
        seen, done = [], asyncio.Event()

        def callback(document, error):
            seen.append((document, type(error)))
            if document is None or document["_id"] == stop_at:
                done.set()
                return False

        returned = cursor.each(callback)
        await asyncio.wait_for(done.wait(), 30)
        await asyncio.sleep(0)
        return [returned, seen]

    return [
        await collected(collection.find().sort("_id").batch_size(2)),
        await collected(collection.find().sort("_id"), stop_at=1),
        await collected(collection.find({"_id": -1})),
        await collected(collection.find({"$nothing": 1})),
        raised_at_once(collection.find().each, 5),
    ]


@program
async def tailable_cursors(module, collection):
    database = collection.database
    capped = await database.create_collection("capped", capped=True, size=10_000)
    await capped.insert_many([{"_id": n} for n in range(3)])
    cursor = capped.find(cursor_type=pymongo.CursorType.TAILABLE_AWAIT).max_await_time_ms(50)
    seen = [await cursor.next() for _ in range(3)]
    ended = await raised_stop(cursor)
    alive = cursor.alive
    await capped.insert_one({"_id": 3})
    later = await cursor.next()
    await cursor.close()
    return [type(capped).__name__, seen, ended, alive, later]


@program
async def aggregates_send_nothing_before_they_are_used(module, collection):
    heard = Heard()
    uri = collection.database.client.delegate
    host, port = await asyncio.to_thread(lambda: uri.address)
    client = module.AsyncIOMotorClient(host, port, event_listeners=[heard])
    own = client[collection.database.name].things
    await own.insert_many([{"_id": n} for n in range(5)])
    heard.names.clear()
    cursors = [own.aggregate([]), own.list_indexes(), own.find(), client.admin.aggregate([])]
    streams = [own.watch(), own.database.watch(), client.watch()]
    seen = [list(heard.names), [type(cursor).__name__ for cursor in cursors]]
    seen.append([stream.alive for stream in streams])
    seen.append(len(await cursors[0].to_list(None)))
    seen.append(list(heard.names))
    client.close()
    return seen


@program
async def aggregates(module, collection):
    await filled(collection, 5)
    database = collection.database
    out = collection.aggregate([{"$match": {"_id": {"$lt": 2}}}, {"$out": "written"}])
    batches = collection.aggregate([{"$sort": {"_id": 1}}], batchSize=2)
    second = collection.aggregate([{"$sort": {"_id": 1}}]).batch_size(2)
    wrong = collection.aggregate([{"$nothing": 1}])
    return [
        await out.to_list(None),
        await database.written.count_documents({}),
        await batches.to_list(3),
        await batches.to_list(None),
        [d async for d in second],
        await raised(wrong.to_list(None)),
        await raised(wrong.next()) in (OperationFailure, StopAsyncIteration, AttributeError),
        await raised(collection.aggregate(5).to_list(1)),
        len(await database.client.admin.aggregate([{"$currentOp": {}}]).to_list(None)) > 0,
        len(await collection.aggregate([], comment="x", let={"a": 1}).to_list(None)),
    ]


@program
async def lists(module, collection):
    client, database = collection.database.client, collection.database
    missing = await database.nothing.list_indexes().to_list(None)
    await collection.create_index("x")
    indexes = [index["name"] async for index in collection.list_indexes()]
    described = await database.list_collections(filter={"name": "things"})
    databases = await client.list_databases(filter={"name": database.name})
    cursor = await database.cursor_command("find", "things")
    return [
        missing,
        indexes,
        [(type(described).__name__, d["name"]) async for d in described],
        [d["name"] == database.name async for d in databases],
        type(cursor).__name__,
        await cursor.to_list(None),
        database.name in await client.list_database_names(),
        raised_at_once(collection.list_indexes().to_list, -1),
    ]


@program
async def raw_batches(module, collection):
    await filled(collection, 5)
    found = collection.find_raw_batches().batch_size(2)
    aggregated = collection.aggregate_raw_batches([{"$sort": {"_id": 1}}])
    seen = [type(found).__name__, type(aggregated).__name__]
    seen.append([bytes(batch) async for batch in found])
    seen.append(await aggregated.to_list(None))
    return seen


@program
async def command_cursors_try_next(module, collection):
    await filled(collection, 2)
    cursor = collection.database.client.admin
    cursor = await collection.database.cursor_command("find", "things", batchSize=1)
    return [await cursor.try_next(), await cursor.try_next(), await cursor.try_next()]


@program
async def sessions(module, collection):
    await collection.insert_one({"_id": 0})
    client = collection.database.client
    started = client.start_session()
    async with await started as session:
        inside = await collection.find_one({}, session=session)
        states = [session.has_ended, session.in_transaction, session.client is client]
        states += [session.options.causal_consistency, set(session.session_id)]
        states += [type(session).__name__, session.operation_time is not None]
        session.advance_cluster_time(session.cluster_time)
        session.advance_operation_time(session.operation_time)
        by_position = await collection.find_one({}, None, 0, 0, session=session)
        listed = await collection.find({}, session=session).to_list(1)
        aggregated = await collection.aggregate([], session=session).to_list(1)
    other = await client.start_session()
    await other.end_session()
    return [
        inside,
        states,
        by_position,
        listed,
        aggregated,
        session.has_ended,
        other.has_ended,
        raised_at_once(session.__enter__),
        await raised(collection.find_one({}, session=session)),
        raised_at_once(hash, session),
    ]


@program
async def transactions(module, collection):
    await collection.insert_one({"_id": 0})
    client = collection.database.client
    seen = []
    async with await client.start_session() as session:
        async with session.start_transaction(write_concern=WriteConcern("majority")):
            await collection.insert_one({"_id": 1}, session=session)
            seen.append(session.in_transaction)
        seen.append(await collection.count_documents({}))
        try:
            async with session.start_transaction():
                await collection.insert_one({"_id": 2}, session=session)
                raise ValueError
        except ValueError:
            seen.append(await collection.count_documents({}))
        session.start_transaction()
        seen.append(raised_at_once(session.start_transaction))
        await collection.insert_one({"_id": 3}, session=session)
        await session.abort_transaction()
        seen.append(await raised(session.abort_transaction()))
        session.start_transaction()
        await collection.insert_one({"_id": 4}, session=session)
        await session.commit_transaction()
        seen.append(await raised(session.abort_transaction()))
    seen.append(sorted([d["_id"] async for d in collection.find()]))
    return seen


@program
async def a_coroutine_runs_in_a_transaction(module, collection):
    await collection.insert_one({"_id": 0})
    client = collection.database.client
    calls = []

    async def twice(session):
        calls.append(type(session).__name__)
        await collection.insert_one({"_id": 1}, session=session)
        if len(calls) == 1:
            error = OperationFailure("again")
            error._add_error_label("TransientTransactionError")
            raise error
        return "done"

    async def failing(session):
        await collection.insert_one({"_id": 2}, session=session)
        raise KeyError

    async def aborting(session):
        await session.abort_transaction()
        return "aborted"

    async with await client.start_session() as session:
        return [
            await session.with_transaction(twice),
            calls,
            await raised(session.with_transaction(failing)),
            await session.with_transaction(aborting),
            await session.with_transaction(lambda s: collection.count_documents({}, session=s)),
            await collection.count_documents({}),
        ]


@program
async def change_streams(module, collection):
    await collection.insert_one({"_id": 0})
    stream = collection.watch([{"$match": {"operationType": "insert"}}], max_await_time_ms=100)
    seen = [stream.alive, stream.delegate, raised_at_once(lambda: stream.resume_token)]
    seen += [raised_at_once(stream.__enter__), await stream.try_next(), stream.alive]
    seen.append(stream.delegate is not None and stream.resume_token is not None)
    await collection.insert_one({"_id": 1})
    seen.append((await stream.next())["documentKey"])
    await collection.insert_one({"_id": 2})
    async for change in stream:
        seen.append(change["documentKey"])
        await stream.close()
    seen += [stream.alive, await raised_stop(stream)]
    token = stream.resume_token
    async with collection.database.watch(resume_after=token) as whole:
        await collection.insert_one({"_id": 3})
        seen.append((await whole.next())["documentKey"])
    async with collection.database.client.watch() as cluster:
        await collection.insert_one({"_id": 4})
        seen.append((await cluster.next())["documentKey"])
    unused = collection.watch()
    await unused.close()
    seen += [unused.alive, await raised(collection.watch(5).next())]
    seen.append(await raised(collection.watch([{"$nothing": 1}]).try_next()))
    return seen


@program
async def files(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database, chunk_size_bytes=1000)
    data = b"line\n" * 1000
    key = await bucket.upload_from_stream("a.txt", data, metadata={"m": 1})
    out = await bucket.open_download_stream(key)
    seen = [out._id == key, out.filename, out.name, out.length, out.chunk_size, out.metadata]
    seen += [out.content_type, out.aliases, out.upload_date is not None, out.m if 0 else None]
    seen += [await out.read(7), out.tell(), out.seek(0), await out.readline(), out.seek(-3, 2)]
    seen += [await out.read(), await out.read(), out.readable(), out.seekable()]
    seen.append(raised_at_once(out.write, b"x"))
    out.seek(0)
    seen.append([len(chunk) async for chunk in out])
    again = await bucket.open_download_stream_by_name("a.txt")
    seen += [len(await again.readchunk()), again.close()]
    async with bucket.open_upload_stream("b.txt", chunk_size_bytes=3) as file:
        await file.write(b"12345")
        await file.writelines([b"6", b"7"])
        await file.set("owner", "me")
        seen += [file.closed, file.filename, file.chunk_size, type(file).__name__]
    seen += [file.closed, file.length, file.owner, raised_at_once(file.read)]
    seen += [file.readable(), file.seekable(), file.writeable()]
    named = await bucket.open_download_stream_by_name("b.txt")
    seen += [named.owner, await named.read(), raised_at_once(getattr, named, "nothing")]
    with_id = bucket.open_upload_stream_with_id("x", "c.txt")
    await with_id.write(b"c")
    await with_id.abort()
    seen.append(await raised(bucket.open_download_stream("x")))
    await bucket.upload_from_stream_with_id("y", "d.txt", b"d")
    await bucket.rename("y", "e.txt")
    seen.append(await raised(bucket.rename("z", "e.txt")))
    await bucket.delete("y")
    seen.append(await raised(bucket.delete("y")))
    return seen


@program
async def fields_of_a_file_are_set_by_the_names_of_attributes(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    files = collection.database.fs.files
    seen = []
    for when in ("open", "closed"):
        for name in (
            *("filename", "name", "content_type", "contentType", "metadata", "other"),
            *("_id", "length", "chunk_size", "upload_date", "md5", "closed"),
        ):
            file = bucket.open_upload_stream("tea.txt")
            await file.write(b"leaves")
            if when == "closed":
                await file.close()
            future = file.set(name, "new")
            seen.append((when, name, asyncio.isfuture(future), await raised(future)))
            seen.append((file.filename, file.name, file.content_type, file.chunk_size))
            await file.close()
            stored = await files.find_one({"_id": file._id})
            seen.append((stored["length"], sorted(stored), "new" in stored.values()))
    return seen


@program
async def files_that_are_not_open(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    key = await bucket.upload_from_stream("a.txt", b"abc")
    out = module.AsyncIOMotorGridOut(collection.database.fs, file_id=key)
    seen = [raised_at_once(getattr, out, name) for name in ("length", "_id", "owner")]
    seen.append(raised_at_once(lambda: out.close()))
    opening = out.open()
    seen += [asyncio.isfuture(opening), await opening is out, out.length]
    seen.append(raised_at_once(module.AsyncIOMotorGridOut, 5))
    seen.append(raised_at_once(module.AsyncIOMotorGridIn, 5))
    missing = module.AsyncIOMotorGridOut(collection.database.fs, file_id="nothing")
    seen += [await raised(missing.open()), await raised(missing.read())]
    new = module.AsyncIOMotorGridIn(collection.database.fs, filename="n", custom=1)
    await new.write(b"new")
    await new.close()
    seen += [new.custom, new.length, raised_at_once(getattr, new, "nothing")]
    return seen


@program
async def files_are_found(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    for name in ("a", "b", "c"):
        await bucket.upload_from_stream(name, name.encode())
    cursor = bucket.find().sort("filename", 1)
    seen = [type(cursor).__name__, [type(file).__name__ async for file in cursor]]
    old = bucket.find({"filename": {"$gt": "a"}}).sort("filename", -1)
    while await old.fetch_next:
        file = old.next_object()
        seen.append((type(file).__name__, file.filename, await file.read()))
    seen.append(old.next_object())
    seen.append([file["filename"] for file in await bucket.find().sort("filename").to_list(2)])
    seen.append(raised_at_once(bucket.find().add_option, 16))
    seen.append(bucket.wrap(5))
    return seen


@program
async def files_go_to_streams(module, collection):
    import io

    bucket = module.AsyncIOMotorGridFSBucket(collection.database, "other")
    key = await bucket.upload_from_stream("a", io.BytesIO(b"abc" * 1000))
    one, two, three = io.BytesIO(), io.BytesIO(), []
    await bucket.download_to_stream(key, one)
    await bucket.download_to_stream_by_name("a", two)

    class Handler:
        def write(self, chunk):
            three.append(chunk)

        def flush(self):
            three.append("flush")

    await (await bucket.open_download_stream(key)).stream_to_handler(Handler())
    return [one.getvalue(), two.getvalue(), three, sorted(await bucket_names(collection))]


async def bucket_names(collection):
    return await collection.database.list_collection_names()


@program
async def properties_of_a_client(module, collection):
    client = collection.database.client
    await client.admin.command("ping")
    return [
        client.HOST,
        client.PORT,
        client.address == client.primary,
        client.is_primary,
        client.is_mongos,
        client.secondaries,
        client.arbiters,
        client.nodes == {client.address},
        type(client.options).__name__,
        type(client.topology_description).__name__,
        client.get_database("x").name,
        raised_at_once(client.get_default_database),
        client.get_default_database("y").name,
        client.options.pool_options.driver.name,
        client.options.pool_options.driver.platform,
    ]


@program
async def loops_of_a_client(module, collection):
    loop = asyncio.get_running_loop()
    client = collection.database.client
    objects = [client, collection.database, collection, collection.find(), collection.watch()]
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    objects += [bucket, bucket.open_upload_stream("x"), await client.start_session()]
    return [
        [one.get_io_loop() is loop for one in objects],
        client.io_loop is loop,
        bucket.io_loop is loop,
        raised_at_once(module.AsyncIOMotorClient, io_loop=5),
        collection.find_one().get_loop() is loop,
    ]


@program
async def a_closed_client_refuses(module, collection):
    host, port = await asyncio.to_thread(lambda: collection.database.client.delegate.address)
    client = module.AsyncIOMotorClient(host, port)
    await client.admin.command("ping")
    seen = [client.close(), client.close(), await raised(client.x.y.find_one())]
    return [*seen, await raised(client.x.y.find().to_list(1)), await raised_stop(client.x.y.find())]
