"""Programs that call each public method of all classes: what `test_overrides.py` runs.

A program is a function of `Objects`, written for the asynchronous API; `settled` passes on what the
synchronous one returns.
"""

from __future__ import annotations

import contextlib
import inspect
import io
from collections.abc import Awaitable, Callable
from typing import Any

import bson
import pymongo
from bson.dbref import DBRef
from pymongo.errors import PyMongoError
from pymongo.operations import IndexModel, SearchIndexModel

Program = Callable[["Objects"], Awaitable[None]]
PROGRAMS: list[Program] = []


class Objects:
    """What programs work on, of the classes in `kinds`."""

    def __init__(self, kinds: dict[str, type], uri: str, database_name: str) -> None:
        self.kinds: dict[str, Any] = kinds
        self.client = kinds["MongoClient"](uri)
        self.database = self.kinds["Database"](self.client, database_name)
        self.collection = self.kinds["Collection"](self.database, "x")
        self.bucket_root = self.kinds["Collection"](self.database, "fs")
        self.bucket = self.kinds["GridFSBucket"](self.database)
        self.files = self.kinds["GridFS"](self.database)

    def as_kind(self, made: Any, name: str) -> Any:
        """An object that only the package can make, as one of the class in `kinds`."""
        made.__class__ = self.kinds[name]
        return made

    def cursor(self, *args: Any, **options: Any) -> Any:
        return self.kinds["Cursor"](self.collection, *args, **options)

    async def command_cursor(self) -> Any:
        made = await settled(self.collection.aggregate([], batchSize=2))
        return self.as_kind(made, "CommandCursor")

    def session(self) -> Any:
        return self.as_kind(self.client.start_session(), "ClientSession")

    def new_file(self, **fields: Any) -> Any:
        return self.kinds["GridIn"](self.bucket_root, chunk_size=4, **fields)

    async def stored(self, name: str = "a.txt") -> Any:
        file = self.new_file(filename=name, encoding="utf-8")
        await settled(file.write(b"one\ntwo\nthree\n"))
        await settled(file.close())
        return file._id

    async def stored_file(self) -> Any:
        file = self.kinds["GridOut"](self.bucket_root, await self.stored())
        await settled(file.open())
        return file


def program(function: Program) -> Program:
    PROGRAMS.append(function)
    return function


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def refused(method: Any, *args: Any) -> None:
    """The server or the package may refuse it."""
    with contextlib.suppress(PyMongoError, NotImplementedError):
        await settled(method(*args))


async def all_of(cursor: Any) -> list[Any]:
    """Iterate with `for` or `async for`."""
    if hasattr(type(cursor), "__anext__"):
        return [one async for one in cursor]
    return list(cursor)


async def one_of(cursor: Any) -> Any:
    return await anext(cursor) if hasattr(type(cursor), "__anext__") else next(cursor)


async def block(manager: Any, body: Callable[[Any], Any] = lambda _: None) -> None:
    """Enter and leave it, with `with` or `async with`."""
    manager = await settled(manager)
    if hasattr(type(manager), "__aenter__"):
        async with manager as entered:
            await settled(body(entered))
    else:
        with manager as entered:
            body(entered)


@program
async def clients(o: Objects) -> None:
    client = o.client
    assert client.name_of_one is not None
    assert client["x"] is not None
    client.get_database("x")
    client.get_default_database("x")
    client.eq_props()
    client.append_metadata(pymongo.driver_info.DriverInfo("walk"))
    await settled(client.server_info())
    await settled(client.list_database_names())
    await all_of(await settled(client.list_databases()))
    await refused(client.bulk_write, [pymongo.InsertOne({}, namespace="a.b")])
    await settled(client.drop_database("dropped"))
    await settled(client.drop_database(client["dropped"]))
    await settled(client.start_session().end_session())
    await settled((await settled(client.watch())).close())
    await block(o.kinds["MongoClient"]("mongodb://127.0.0.1:1/", connect=False))
    other = o.kinds["MongoClient"]("mongodb://127.0.0.1:1/named", connect=False)
    other.get_database()
    other.get_default_database()
    await settled(other.close())


@program
async def databases(o: Objects) -> None:
    database = o.database
    assert database.y is not None
    assert database["y"] is not None
    database.get_collection("y")
    database.with_options()
    await settled(database.command("ping"))
    await all_of(await settled(database.cursor_command("find", "x")))
    await settled(o.client["admin"].aggregate([{"$currentOp": {}}]))
    await settled((await settled(database.watch())).close())
    await settled(database.create_collection("made"))
    await settled(database.create_collection("made_without_check", check_exists=False))
    await settled(database.list_collections())
    await settled(database.list_collection_names())
    await settled(database.validate_collection("made"))
    await settled(database.drop_collection("made"))
    await settled(database.drop_collection(database["made_without_check"]))
    await settled(database.dereference(DBRef("x", 1)))


@program
async def reads(o: Objects) -> None:
    collection = o.collection
    assert collection.sub is not None
    assert collection["sub"] is not None
    collection.with_options()
    await settled(collection.insert_many([{"_id": i, "a": i % 2} for i in range(5)]))
    await settled(collection.find_one())
    await settled(collection.find_one(1, {"a": 1}))
    await all_of(collection.find({}, batch_size=2))
    await all_of(collection.find_raw_batches({}))
    await settled(collection.count_documents({}))
    await settled(collection.estimated_document_count())
    await settled(collection.distinct("a"))
    await settled(collection.distinct("a", {"a": 1}))
    await all_of(await settled(collection.aggregate([])))
    await settled(collection.aggregate([{"$out": "out"}]))
    await all_of(await settled(collection.aggregate_raw_batches([])))
    await settled((await settled(collection.watch())).close())
    await settled(collection.options())


@program
async def writes(o: Objects) -> None:
    collection = o.collection
    await settled(collection.insert_one({"_id": "a"}))
    await settled(collection.insert_many([{}, {}]))
    await settled(collection.bulk_write([pymongo.InsertOne({}), pymongo.DeleteOne({"no": 1})]))
    await settled(collection.update_one({"_id": "a"}, {"$set": {"b": 1}}))
    await settled(collection.update_many({"_id": "a"}, {"$set": {"b": 1}}))
    await settled(collection.replace_one({"_id": "a"}, {"b": 1}))
    await settled(collection.delete_one({"no": 1}))
    await settled(collection.delete_many({"no": 1}))
    await settled(collection.find_one_and_update({"_id": "a"}, {"$set": {"b": 1}}))
    await settled(collection.find_one_and_replace({"_id": "a"}, {"b": 1}))
    await settled(collection.find_one_and_delete({"_id": "a"}))


@program
async def administration(o: Objects) -> None:
    collection = o.database.administered
    collection = o.kinds["Collection"](o.database, "administered")
    await settled(collection.create_index("a"))
    await settled(collection.create_indexes([IndexModel("b")]))
    await settled(collection.index_information())
    await all_of(await settled(collection.list_indexes()))
    await settled(collection.drop_index("a_1"))
    await settled(collection.drop_indexes())
    model = {"definition": {"mappings": {"dynamic": True}}, "name": "s"}
    await refused(collection.list_search_indexes)
    await refused(collection.list_search_indexes, "s")
    await refused(collection.create_search_index, model)
    await refused(collection.create_search_indexes, [SearchIndexModel(**model)])
    await refused(collection.update_search_index, "s", model["definition"])
    await refused(collection.drop_search_index, "s")
    await settled(collection.rename("renamed"))
    await settled(collection.drop())


@program
async def cursors(o: Objects) -> None:
    await all_of(o.cursor({}, batch_size=2))
    cursor = o.cursor({})
    await settled(cursor.next())
    await one_of(cursor)
    await settled(cursor.rewind())
    await settled(cursor.to_list())
    await settled(o.cursor().to_list(2))
    cursor = o.cursor()
    cursor.limit(3).skip(1).batch_size(2).sort("a").hint("_id_").comment("c").allow_disk_use(True)
    cursor.max_time_ms(1000).collation(None).where("true").max_scan(3)
    cursor.clone()
    o.cursor().hint([("_id", 1)]).min([("_id", 0)]).max([("_id", 9)])
    await settled(o.cursor().add_option(16))
    o.cursor().remove_option(16)
    o.cursor(cursor_type=pymongo.CursorType.TAILABLE_AWAIT).max_await_time_ms(5)
    await settled(o.cursor().explain())
    await settled(o.cursor({}).distinct("a"))
    await block(o.cursor())
    if not hasattr(type(cursor), "__anext__"):
        assert o.cursor()[0]
        assert list(o.cursor()[1:2])


@program
async def raw_cursors(o: Objects) -> None:
    kind = o.kinds["RawBatchCursor"]
    assert all(bson.decode_all(batch) for batch in await all_of(kind(o.collection)))
    await settled(kind(o.collection).next())
    await settled(kind(o.collection).to_list())
    await settled(kind(o.collection).explain())
    made = await settled(o.collection.aggregate_raw_batches([]))
    await all_of(o.as_kind(made, "RawBatchCommandCursor"))
    made = await settled(o.collection.aggregate_raw_batches([]))
    await settled(o.as_kind(made, "RawBatchCommandCursor").to_list())


@program
async def command_cursors(o: Objects) -> None:
    await all_of(await o.command_cursor())
    cursor = await o.command_cursor()
    cursor.batch_size(2)
    await settled(cursor.next())
    await settled(cursor.try_next())
    await one_of(cursor)
    await settled(cursor.to_list())
    await settled((await o.command_cursor()).to_list(2))
    await settled((await o.command_cursor()).close())
    await block(await o.command_cursor())


@program
async def change_streams(o: Objects) -> None:
    for target, name in (
        (o.collection, "CollectionChangeStream"),
        (o.database, "DatabaseChangeStream"),
        (o.client, "ClusterChangeStream"),
    ):
        stream = o.as_kind(await settled(target.watch(max_await_time_ms=50)), name)
        await settled(o.collection.insert_many([{}, {}, {}]))
        await settled(stream.next())
        await one_of(stream)
        await settled(stream.try_next())
        await settled(stream.close())
        await all_of(stream)
        await block(o.as_kind(await settled(target.watch()), name))


@program
async def sessions(o: Objects) -> None:
    session = o.session()
    await settled(session.start_transaction())
    await settled(o.collection.insert_one({}, session=session))
    await settled(session.commit_transaction())
    await settled(session.start_transaction())
    await settled(session.abort_transaction())
    await block(session.start_transaction())
    with contextlib.suppress(ZeroDivisionError):
        await block(session.start_transaction(), lambda _: 1 / 0)
    await settled(session.start_transaction())
    await settled(o.collection.insert_one({}, session=session))
    session.advance_cluster_time(session.cluster_time)
    session.advance_operation_time(session.operation_time)
    await settled(session.end_session())
    session = o.session()

    def insert(session: Any) -> Any:
        return o.collection.insert_one({}, session=session)

    async def insert_later(session: Any) -> Any:
        return await insert(session)

    is_async = hasattr(type(session), "__aenter__")
    await settled(session.with_transaction(insert_later if is_async else insert))
    await block(session.bind())
    await block(o.session())


@program
async def gridfs(o: Objects) -> None:
    files = o.files
    key = await settled(files.put(b"abc", filename="f"))
    await settled(files.new_file(filename="f").close())
    await settled((await settled(files.get(key))).read())
    await settled(files.get_version("f", 0))
    await settled(files.get_last_version("f"))
    await settled(files.list())
    await settled(files.find_one({"filename": "f"}))
    await settled(files.find_one(key))
    await all_of(files.find({}))
    await settled(files.exists(key))
    await settled(files.exists({"filename": "f"}))
    await settled(files.exists(filename="f"))
    await settled(files.delete(key))


@program
async def buckets(o: Objects) -> None:
    bucket = o.bucket
    await settled(bucket.open_upload_stream("b").close())
    await settled(bucket.open_upload_stream_with_id(1, "b").close())
    key = await settled(bucket.upload_from_stream("b", b"abc"))
    await settled(bucket.upload_from_stream("b", io.BytesIO(b"abc")))
    await settled(bucket.upload_from_stream_with_id(2, "b", b"abc"))
    await settled((await settled(bucket.open_download_stream(key))).read())
    await settled(bucket.open_download_stream_by_name("b", 0))
    await settled(bucket.download_to_stream(key, io.BytesIO()))
    await settled(bucket.download_to_stream_by_name("b", io.BytesIO()))
    await all_of(bucket.find({}))
    await settled(bucket.rename(key, "c"))
    await settled(bucket.rename_by_name("b", "d"))
    await settled(bucket.delete(key))
    await settled(bucket.delete_by_name("d"))


@program
async def written_files(o: Objects) -> None:
    file = o.new_file(filename="w", encoding="utf-8")
    await settled(file.write("text"))
    await settled(file.write(io.BytesIO(b"0123456789")))
    await settled(file.writelines([b"1", "2"]))
    await settled(file.close())
    await settled(file.set("field", 1))
    assert not (file.readable())
    assert not (file.seekable())
    assert file.writeable()
    aborted = o.new_file()
    await settled(aborted.write(b"0123456789"))
    await settled(aborted.abort())
    await block(o.new_file(), lambda entered: entered.write(b"abc"))


@program
async def failing_files(o: Objects) -> None:
    class Failing:
        count = 0

        def read(self, size: int) -> bytes:
            self.count += 1
            if self.count > 100:
                raise ZeroDivisionError
            return b"0" * 1000

    with contextlib.suppress(ZeroDivisionError):
        await settled(o.kinds["GridIn"](o.bucket_root, chunk_size=16000).write(Failing()))


@program
async def read_files(o: Objects) -> None:
    for function in (
        lambda file: file.read(),
        lambda file: file.read(5),
        lambda file: file.readline(),
        lambda file: file.readline(2),
        lambda file: file.readlines(),
        lambda file: file.readlines(5),
        lambda file: file.readchunk(),
        lambda file: file.seek(3),
        lambda file: file.tell(),
        lambda file: file.close(),
        lambda file: all_of(file),
        lambda file: one_of(file),
        lambda file: block(file),
        lambda file: file.readable() or file.seekable() or file.writable(),
        lambda file: file.isatty() or file.flush(),
    ):
        await settled(function(await o.stored_file()))
    unopened = o.kinds["GridOut"](o.bucket_root, await o.stored())
    await settled(unopened.read())
    assert unopened.filename == "a.txt"
    await settled(o.kinds["GridOut"](o.bucket_root, await o.stored()).readchunk())
    if hasattr(type(unopened), "to_list"):
        await settled((await o.stored_file()).to_list())


@program
async def file_cursors(o: Objects) -> None:
    kind = o.kinds["GridOutCursor"]
    await o.stored()
    assert await all_of(kind(o.bucket_root))
    await settled(kind(o.bucket_root).next())
    await one_of(kind(o.bucket_root))
    await settled(kind(o.bucket_root).to_list())
    kind(o.bucket_root).sort("a").limit(1).clone()
    await settled(kind(o.bucket_root).rewind())
    await block(kind(o.bucket_root))
