"""Mongo-Thingy: schema-less objects, with PyMongo's client and Motor's."""

import asyncio
import sys

import mongo_thingy
from mongo_thingy import AsyncThingy, Thingy
from motor.motor_asyncio import AsyncIOMotorClient


class User(Thingy):
    pass


class Visit(AsyncThingy):
    pass


def users(uri: str) -> None:
    mongo_thingy.connect(uri)
    User.add_index("name", unique=True)
    User.create_indexes()
    for name, age in (("Ada", 30), ("Ben", 40), ("Cleo", 50)):
        User(name=name, age=age).save()
    ada = User.find_one({"name": "Ada"})
    ada.age += 1
    ada.save()
    ages = {user.name: user.age for user in User.find(sort=[("age", -1)])}
    print(ages, User.count_documents(), User.find()[0].age, User.distinct("age"))
    assert ages == {"Cleo": 50, "Ben": 40, "Ada": 31}
    print(
        User.find_one_and_replace({"name": "Ben"}, {"name": "Bob"}).name,
        sorted(User.distinct("name")),
    )
    print(ada.delete().deleted_count, User.count_documents())
    mongo_thingy.disconnect()


async def visits(uri: str) -> None:
    mongo_thingy.connect(uri, client_cls=AsyncIOMotorClient)
    for page in range(3):
        await Visit(page=page).save()
    pages = [visit.page async for visit in Visit.find().sort("page", 1)]
    last = await Visit.find().sort("page", -1).to_list(length=1)
    print(pages, last[0].page, await Visit.count_documents())
    assert pages == [0, 1, 2]
    mongo_thingy.disconnect()


def main(uri: str) -> None:
    users(uri.replace("/?", "/mongo_thingy?"))
    asyncio.run(visits(uri.replace("/?", "/mongo_thingy?")))


if __name__ == "__main__":
    main(sys.argv[1])
