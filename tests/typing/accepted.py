"""What a type checker must accept: run by test_typing.py, never imported."""

from array import array
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from io import IOBase
from pathlib import Path
from typing import Any, BinaryIO, Literal, NotRequired, TypedDict, assert_type
from wsgiref.simple_server import demo_app
from wsgiref.types import WSGIApplication

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult
from starlette.applications import Starlette

import ferromongo
import ferromongo as pymongo
from ferromongo import ASCENDING, AsyncMongoClient, MongoClient, ReturnDocument, bson
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.client_session import ClientSession
from ferromongo.collection import Collection
from ferromongo.cursor import Cursor
from ferromongo.database import Database
from ferromongo.embedded import FailPoint, ReplicaSet
from ferromongo.errors import DuplicateKeyError, PyMongoError
from ferromongo.gridfs import AsyncGridFSBucket, AsyncGridOut, GridFSBucket, GridOut, Orphans
from ferromongo.gridfs.http import response_head
from ferromongo.middleware import asgi, non_atomic_requests, wsgi
from ferromongo.transaction import (
    TransactionReport,
    atomic,
    current_attempt,
    on_commit,
    outside_transaction,
)
from ferromongo.transaction_log import (
    RecoveredTransaction,
    RecoveryReport,
    TransactionEntry,
    TransactionLog,
)
from ferromongo.write_concern import WriteConcern


class Order(TypedDict):
    item: str
    price: int


def synchronous(client: MongoClient[dict[str, Any]]) -> None:
    database: Database[dict[str, Any]] = client.shop
    orders = database["orders"]
    assert_type(orders.insert_one({"item": "tea"}), InsertOneResult)
    assert_type(orders.insert_many([{"item": "tea"}]), InsertManyResult)
    assert_type(orders.find_one({"item": "tea"}), dict[str, Any] | None)
    assert_type(orders.find(), Cursor[dict[str, Any]])
    assert_type(orders.find_one({}, {"_id": 0}, skip=1), dict[str, Any] | None)
    assert_type(orders.find({}, ["item"], 1, 2, sort={"item": 1}), Cursor[dict[str, Any]])
    orders.find({}, hint=[("item", 1)], min=[("item", "t")], collation={"locale": "en"})
    for order in orders.find({"price": {"$gt": 1}}, limit=3).sort("price", ASCENDING):
        assert_type(order, dict[str, Any])
    assert_type(orders.find().to_list(), list[dict[str, Any]])
    assert_type(orders.find()[0], dict[str, Any])
    assert_type(orders.find()[1:3], Cursor[dict[str, Any]])
    assert_type(orders.update_one({}, {"$set": {"price": 2}}), UpdateResult)
    assert_type(orders.update_many({}, [{"$set": {"price": 2}}]), UpdateResult)
    assert_type(orders.delete_one({}), DeleteResult)
    assert_type(orders.count_documents({}), int)
    assert_type(database.command("ping"), dict[str, Any])
    assert_type(client.list_database_names(), list[str])
    after = orders.find_one_and_update(
        {}, {"$inc": {"price": 1}}, return_document=ReturnDocument.AFTER
    )
    assert_type(after, dict[str, Any] | None)
    with client.start_session() as session, session.start_transaction():
        orders.insert_one({"item": "tea"}, session=session)
    with client.start_session() as session:
        assert_type(session.with_transaction(lambda _: 1), int)

    @client.start_session(snapshot=True)
    def count(session: ClientSession, item: str, *, limit: int = 3) -> int:
        return orders.count_documents({"item": item}, session=session, limit=limit)

    assert_type(count("tea", limit=5), int)

    @atomic(client, max_attempts=3)
    def buy(item: str, *, limit: int = 3) -> int:
        on_commit(lambda: print(item))
        return orders.count_documents({"item": item}, limit=limit)

    assert_type(buy("tea", limit=5), int)
    with atomic(client, concurrency="error", timeout=5) as session:
        assert_type(session, ClientSession)
    assert_type(client.run_atomic(buy, "tea"), int)
    assert_type(client.run_atomic(buy, "tea", report=True), TransactionReport[int])
    with outside_transaction(client):
        assert_type(current_attempt(), int)
    for listed in client.list_sessions(failed=True):
        assert_type(listed.transaction, TransactionEntry | None)
        with listed.start_transaction():
            orders.insert_one({"item": "tea"}, session=listed)
    log = TransactionLog("transactions.log", capture="full", marker=True)
    MongoClient[dict[str, Any]](transaction_log=log)

    def again(entry: TransactionEntry, session: ClientSession) -> None:
        orders.insert_one({"n": len(entry.statements)}, session=session)

    report = client.recover_transactions(log, replay=again)
    assert_type(report, RecoveryReport)
    for found in report:
        assert_type(found, RecoveredTransaction)
    assert_type(client.recover_transactions(log, replay=True)[0], RecoveredTransaction)
    for entry in log:
        assert_type(entry.outcome, Literal["committed", "aborted", "unknown"] | None)


async def asynchronous(client: AsyncMongoClient[dict[str, Any]]) -> None:
    orders = client.shop.orders
    assert_type(await orders.insert_one({"item": "tea"}), InsertOneResult)
    assert_type(await orders.find_one(), dict[str, Any] | None)
    async for order in orders.find().sort([("price", -1)]):
        assert_type(order, dict[str, Any])
    async for document in await orders.aggregate([{"$match": {}}]):
        assert_type(document, dict[str, Any])
    assert_type(await orders.find().to_list(5), list[dict[str, Any]])
    async with client.start_session() as session, await session.start_transaction():
        await orders.insert_one({"item": "tea"}, session=session)

    @client.start_session()
    async def count(session: AsyncClientSession, item: str) -> int:
        return await orders.count_documents({"item": item}, session=session)

    assert_type(await count("tea"), int)

    @atomic(client)
    async def buy(item: str) -> int:
        return await orders.count_documents({"item": item})

    assert_type(await buy("tea"), int)
    async with atomic(client) as inside:
        assert_type(inside, AsyncClientSession)
        await on_commit(lambda: print("done"))
    assert_type(await client.run_atomic(buy, "tea"), int)
    assert_type(await client.run_atomic(buy, "tea", report=True), TransactionReport[int])
    for listed in await client.shop.list_sessions(all_users=True):
        await listed.end_session()

    async def again(entry: TransactionEntry, session: AsyncClientSession) -> None:
        await orders.insert_one({"n": len(entry.statements)}, session=session)

    log = TransactionLog(client.shop.log)
    assert_type(await client.recover_transactions(log, replay=again), RecoveryReport)


def files(database: Database[dict[str, Any]], source: BinaryIO) -> None:
    bucket = GridFSBucket(database, chunk_size_bytes=1024)
    key = bucket.upload_from_stream("tea.txt", source, metadata={"lang": "en"})
    assert_type(key, ObjectId)
    with bucket.open_download_stream(key) as file:
        assert_type(file, GridOut)
        assert_type(file.read(3), bytes)
        assert_type(file.filename, str)
        copy: IOBase = file
        assert_type(list(file), list[bytes])
    for found in bucket.find({"filename": "tea.txt"}).sort("uploadDate", -1).limit(3):
        assert_type(found, GridOut)
    assert_type(bucket.find().to_list(), list[GridOut])
    with bucket.open_upload_stream("tea.txt") as written:
        written.colour = "red"
    print(copy)
    path = Path("tea.txt")
    assert_type(bucket.upload_from_path(path, progress=True), ObjectId)
    bucket.download_to_path_by_name("tea.txt", "copy.txt", progress=lambda done, total: None)
    part = bucket.open_download_stream(key, start=5, end=9)
    assert_type(part.readinto(bytearray(4)), int)
    assert_type(part.iter_chunks(1), Iterator[bytes])
    assert_type(response_head(part, {"Range": "bytes=0-"}).headers, dict[str, str])
    assert_type(GridFSBucket(database, transactions=True).find_orphans(), list[Orphans])


async def asynchronous_files(database: AsyncDatabase[dict[str, Any]]) -> None:
    bucket = AsyncGridFSBucket(database)
    async with bucket.open_upload_stream("tea.txt") as written:
        await written.write(b"x")
    file = await bucket.open_download_stream(written._id)
    assert_type(await file.read(), bytes)
    async for line in file:
        assert_type(line, bytes)
    assert_type(await bucket.find().next(), AsyncGridOut)

    async def progress(done: int, total: int | None) -> None: ...

    await bucket.upload_from_stream("tea.txt", Path("tea.txt"), progress=progress)
    await bucket.download_to_path(written._id, Path("copy.txt"))
    assert_type(file.iter_chunks(), AsyncIterator[bytes])
    assert_type((await bucket.delete_orphans(timedelta(hours=1)))[0].length, int)


def typed(collection: Collection[Order]) -> None:
    assert_type(collection.find_one(), Order | None)
    collection.insert_one({"item": "tea", "price": 3})
    raw = collection.with_options(codec_options=CodecOptions(RawBSONDocument))
    assert_type(raw, Collection[RawBSONDocument])


class Film(TypedDict):
    _id: NotRequired[ObjectId]
    title: str
    year: int


def documents_of_a_type(films: pymongo.collection.Collection[Film]) -> None:
    """The client's type of documents is that of whatever is made from it."""
    client: pymongo.MongoClient[Film] = pymongo.MongoClient()
    assert_type(client.cinema["films"], Collection[Film])
    assert_type(films.database, Database[Film])
    film = films.find_one()
    assert film is not None
    assert_type(film["year"], int)
    films.insert_many([film, {"title": "Metropolis", "year": 1927}])
    assert_type(films.find().to_list(), list[Film])
    assert_type(list(films.find(sort=["year"])[:2]), list[Film])
    assert_type(films.aggregate([{"$match": {}}]).to_list(), list[Film])
    writes: list[pymongo.InsertOne[Film] | pymongo.ReplaceOne[Film] | pymongo.DeleteOne] = [
        pymongo.InsertOne(film),
        pymongo.ReplaceOne({}, film, upsert=True),
        pymongo.DeleteOne({"year": 1927}),
    ]
    assert_type(films.bulk_write(writes), pymongo.results.BulkWriteResult)
    plain = films.with_options(codec_options=CodecOptions(dict[str, Any]))
    assert_type(plain.find_one(), dict[str, Any] | None)
    assert_type(
        pymongo.MongoClient(document_class=SON[str, Any]).a.b.find_one(), SON[str, Any] | None
    )


def replies_of_a_type(client: pymongo.MongoClient[dict[str, Any]]) -> None:
    assert_type(client.admin.command("ping"), dict[str, Any])
    raw = client.admin.command("ping", codec_options=CodecOptions(RawBSONDocument))
    assert_type(raw, RawBSONDocument)
    everywhere: list[pymongo.InsertOne[dict[str, Any]]] = []
    assert_type(client.bulk_write(everywhere), pymongo.results.ClientBulkWriteResult)
    assert_type(client.address, tuple[str, int] | None)
    assert_type(client.a.b.find().explain(), dict[str, Any])
    index = pymongo.IndexModel(
        [("a", pymongo.DESCENDING)], collation=pymongo.collation.Collation("en")
    )
    assert_type(client.a.b.create_indexes([index]), list[str])


def modules(options: pymongo.client_options.ClientOptions) -> None:
    """PyMongo's modules are attributes of the package and export PyMongo's names."""
    assert_type(options.pool_options, pymongo.pool.PoolOptions)
    assert_type(pymongo.uri_parser.parse_host("a:1"), tuple[str, int | None])
    assert_type(pymongo.common.MAX_BSON_SIZE, int)
    majority: WriteConcern = pymongo.write_concern.WriteConcern("majority")
    assert majority.acknowledged


def documents_and_bytes(data: bytes, file: BinaryIO, typed: CodecOptions[Order]) -> None:
    assert_type(bson.encode({"item": "tea"}, codec_options=typed), bytes)
    assert_type(bson.decode(data), dict[str, Any])
    assert_type(bson.decode(memoryview(data), codec_options=typed), Order)
    assert_type(bson.decode(array("B", data), CodecOptions(RawBSONDocument)), RawBSONDocument)
    assert_type(bson.decode_all(bytearray(data)), list[dict[str, Any]])
    assert_type(bson.decode_all(data, typed), list[Order])
    assert_type(bson.decode_iter(data), Iterator[dict[str, Any]])
    assert_type(bson.decode_iter(data, typed), Iterator[Order])
    assert_type(bson.decode_file_iter(file), Iterator[dict[str, Any]])
    assert_type(bson.decode_file_iter(file, typed), Iterator[Order])
    assert_type(bson.is_valid(data), bool)
    assert_type(bson.ObjectId(), ObjectId)


def fail_points(servers: ReplicaSet) -> None:
    with servers.failpoint(failCommands=["find"], errorCode=8, times=1, on="all") as fault:
        assert_type(fault, FailPoint)
        assert_type(fault.hits, int)
    with servers.failpoint("failAllInserts", on=servers.primary, probability=0.5):
        pass


def errors() -> None:
    try:
        ferromongo.MongoClient().server_info()
    except DuplicateKeyError as error:
        assert_type(error.code, int | None)
    except PyMongoError:
        pass


async def web(client: MongoClient[dict[str, Any]], aio: AsyncMongoClient[dict[str, Any]]) -> None:
    app = Starlette()
    app.add_middleware(asgi.AtomicRequestsMiddleware, client=aio, timeout=5)
    app.add_middleware(asgi.AtomicRequestsMiddleware, client=lambda scope: aio, safe_methods=False)
    around: WSGIApplication = wsgi.AtomicRequestsMiddleware(
        demo_app, client, rollback_on=lambda status: status >= 400, concurrency="error"
    )

    @non_atomic_requests
    def view(number: int, *, text: str) -> int:
        return number + len(text)

    @non_atomic_requests
    async def async_view(number: int) -> int:
        return number

    assert_type(view(1, text="a"), int)
    assert_type(await async_view(1), int)
    print(around)
