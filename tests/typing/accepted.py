"""What a type checker must accept: run by test_typing.py, never imported."""

from array import array
from collections.abc import Iterator
from typing import Any, BinaryIO, TypedDict, assert_type

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

import ferromongo
from ferromongo import ASCENDING, AsyncMongoClient, MongoClient, ReturnDocument, bson
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.client_session import ClientSession
from ferromongo.collection import Collection
from ferromongo.cursor import Cursor
from ferromongo.database import Database
from ferromongo.embedded import FailPoint, ReplicaSet
from ferromongo.errors import DuplicateKeyError, PyMongoError


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
    for listed in client.list_sessions():
        with listed.start_transaction():
            orders.insert_one({"item": "tea"}, session=listed)


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
    for listed in await client.shop.list_sessions(all_users=True):
        await listed.end_session()


def typed(collection: Collection[Order]) -> None:
    assert_type(collection.find_one(), Order | None)
    collection.insert_one({"item": "tea", "price": 3})
    raw = collection.with_options(codec_options=CodecOptions(RawBSONDocument))
    assert_type(raw, Collection[RawBSONDocument])


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
