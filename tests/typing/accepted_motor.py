"""What a type checker must accept of Motor's API: run by test_typing.py, never imported."""

from typing import Any, assert_type

from pymongo.results import InsertOneResult, UpdateResult

from ferromongo.motor.core import AgnosticClient, AgnosticCollection, AgnosticDatabase
from ferromongo.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorCursor,
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
)


async def operations(client: AsyncIOMotorClient[dict[str, Any]]) -> None:
    database: AsyncIOMotorDatabase[dict[str, Any]] = client.shop
    orders: AsyncIOMotorCollection[dict[str, Any]] = database["orders"]
    result = await orders.insert_one({"item": "tea"})
    assert_type(result, InsertOneResult)
    assert_type(await orders.find_one({"item": "tea"}), dict[str, Any] | None)
    assert_type(await orders.update_one({}, {"$set": {"n": 1}}), UpdateResult)
    assert_type(await orders.count_documents({}), int)
    cursor: AsyncIOMotorCursor[dict[str, Any]] = orders.find().sort("_id").limit(3)
    assert_type(await cursor.to_list(length=None), list[dict[str, Any]])
    async for order in orders.aggregate([{"$match": {}}]):
        assert_type(order, dict[str, Any])
    assert_type(await client.list_database_names(), list[str])
    assert_type(await database.command("ping"), dict[str, Any])
    future = orders.find_one()
    future.add_done_callback(print)
    assert_type(orders.database, AsyncIOMotorDatabase[dict[str, Any]])
    assert_type(database.get_collection("x"), AsyncIOMotorCollection[dict[str, Any]])
    async with orders.watch() as stream:
        async for change in stream:
            print(change["operationType"])


async def sessions(client: AsyncIOMotorClient[dict[str, Any]]) -> None:
    async with await client.start_session() as session:
        assert_type(session, AsyncIOMotorClientSession)
        async with session.start_transaction():
            await client.shop.orders.insert_one({}, session=session)

    async def callback(session: AsyncIOMotorClientSession) -> int:
        return 1

    assert_type(await session.with_transaction(callback), int)


async def files(database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
    bucket = AsyncIOMotorGridFSBucket(database)
    key = await bucket.upload_from_stream("tea.txt", b"tea")
    file = await bucket.open_download_stream(key)
    assert_type(await file.read(), bytes)
    assert_type(file.length, int)
    async for chunk in file:
        assert_type(chunk, bytes)
    async with bucket.open_upload_stream("more.txt") as new:
        await new.write(b"more")


def agnostic(client: AsyncIOMotorClient[dict[str, Any]]) -> None:
    plain: AgnosticClient[dict[str, Any]] = client
    database: AgnosticDatabase[dict[str, Any]] = plain.shop
    collection: AgnosticCollection[dict[str, Any]] = database.orders
    print(collection)
