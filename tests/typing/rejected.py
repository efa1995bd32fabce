"""What a type checker must refuse: every marked line, with the error code in the comment."""

from typing import Any, TypedDict
from wsgiref.simple_server import demo_app

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from starlette.applications import Starlette

from ferromongo import AsyncMongoClient, InsertOne, MongoClient, bson
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.client_session import ClientSession
from ferromongo.collection import Collection
from ferromongo.embedded import ReplicaSet
from ferromongo.gridfs import GridFS, GridFSBucket
from ferromongo.middleware import asgi, wsgi
from ferromongo.transaction import atomic
from ferromongo.transaction_log import TransactionLog


def synchronous(client: MongoClient[dict[str, Any]]) -> None:
    orders: Collection[dict[str, Any]] = client.shop.orders
    orders.insert_one(3)  # error: arg-type
    orders.insert_one({}, nonsense=1)  # error: call-arg
    orders.find_one().get("item")  # error: union-attr
    orders.find().limit("many")  # error: arg-type
    orders.update_one({})  # error: call-arg
    number: str = orders.count_documents({})  # error: assignment
    client.start_session(causal_consistency="yes")  # error: arg-type
    orders.insert_one({}, session=client)  # error: arg-type
    print(number)

    @client.start_session()
    def count(session: ClientSession, item: str) -> int:
        return len(item)

    client.recover_transactions("transactions.log")  # error: arg-type
    client.recover_transactions(TransactionLog(), replay="again")  # error: arg-type
    TransactionLog(capture="all")  # error: arg-type

    count(3)  # error: arg-type
    count("tea", "coffee")  # error: call-arg


class Film(TypedDict):
    title: str
    year: int


def documents_of_a_type(films: Collection[Film]) -> None:
    films.insert_one({"title": "Metropolis"})  # error: arg-type
    films.insert_many({"title": "Metropolis", "year": 1927})  # error: dict-item
    mapping = {"title": "Metropolis", "year": 1927}
    films.bulk_write([InsertOne(mapping)])  # error: arg-type
    for film in films.find():
        print(film["director"])  # error: typeddict-item
    raw = films.with_options(codec_options=CodecOptions(RawBSONDocument)).find_one()
    assert raw is not None
    raw["year"] = 1927  # error: index
    MongoClient[int]()  # error: type-var


def files(bucket: GridFSBucket, database: AsyncDatabase[dict[str, Any]]) -> None:
    GridFSBucket(database)  # error: arg-type
    bucket.upload_from_stream(5, b"")  # error: arg-type
    bucket.upload_from_stream("tea.txt", b"", progress="yes")  # error: arg-type
    bucket.find_orphans(older_than=5)  # error: arg-type
    bucket.find().next().read("all")  # error: arg-type


def documents_and_bytes(data: bytes) -> None:
    bson.encode(3)  # error: arg-type
    bson.decode("text")  # error: call-overload
    bson.decode_all(data, dict)  # error: call-overload
    bson.decode_iter(data).get("item")  # error: attr-defined
    bson.is_valid("text")  # error: arg-type


def fail_points(servers: ReplicaSet) -> None:
    servers.failpoint(failCommand=["find"])  # error: call-arg
    servers.failpoint(failCommands=["find"], errorCode="8")  # error: arg-type
    servers.failpoint(on="secondary")  # error: arg-type


async def asynchronous(client: AsyncMongoClient[dict[str, Any]]) -> None:
    orders = client.shop.orders
    number: int = orders.count_documents({})  # error: assignment
    for order in orders.find():  # error: attr-defined
        print(order)
    with client.start_session():  # error: attr-defined
        pass
    print(number)


def finding(client: MongoClient[dict[str, Any]], aio: AsyncMongoClient[dict[str, Any]]) -> None:
    orders = client.shop.orders
    orders.find(limit="3")  # error: arg-type
    orders.find(nonsense=1)  # error: call-arg
    orders.find({}, {"_id": 0}, "many")  # error: arg-type
    orders.find_one(nonsense=1)  # error: call-arg
    orders.find_one({}, skip="many")  # error: arg-type
    orders.find_raw_batches(nonsense=1)  # error: call-arg
    orders.find_raw_batches(batch_size="10")  # error: arg-type
    aio.shop.orders.find(sort=3)  # error: arg-type
    aio.shop.orders.find(session=client.start_session())  # error: arg-type
    GridFSBucket(client.media).find(limit="3")  # error: arg-type
    GridFS(client.media).find(projection=["_id"])  # error: call-arg
    GridFS(client.media).find_one({}, limit="3")  # error: arg-type


def atomically(client: MongoClient[dict[str, Any]], aio: AsyncMongoClient[dict[str, Any]]) -> None:
    @atomic(client)
    def buy(item: str) -> int:
        return len(item)

    @atomic(aio)
    async def buy_slowly(item: str) -> int:
        return len(item)

    buy(1)  # error: arg-type
    buy_slowly()  # error: call-arg # error: unused-coroutine
    atomic(client, attempts=3)  # error: call-overload
    atomic(client, concurrency="maybe")  # error: call-overload
    atomic(client.shop)  # error: call-overload
    atomic(aio)(buy)  # error: arg-type
    with atomic(aio):  # error: attr-defined
        pass


def web(client: MongoClient[dict[str, Any]], aio: AsyncMongoClient[dict[str, Any]]) -> None:
    app = Starlette()
    app.add_middleware(asgi.AtomicRequestsMiddleware, client=client)  # error: arg-type
    app.add_middleware(asgi.AtomicRequestsMiddleware, client=aio, timeout="5")  # error: arg-type
    wsgi.AtomicRequestsMiddleware(demo_app, aio)  # error: arg-type
    wsgi.AtomicRequestsMiddleware(demo_app, client, durable=True)  # error: call-arg
