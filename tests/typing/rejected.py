"""What a type checker must refuse: every marked line, with the error code in the comment."""

from typing import Any

from ferromongo import AsyncMongoClient, MongoClient, bson
from ferromongo.client_session import ClientSession
from ferromongo.collection import Collection
from ferromongo.embedded import ReplicaSet


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

    count(3)  # error: arg-type
    count("tea", "coffee")  # error: call-arg


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
