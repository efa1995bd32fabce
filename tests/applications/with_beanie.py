"""Beanie: documents on PyMongo's asynchronous client."""

import asyncio
import sys

from beanie import Document, Indexed, Link, init_beanie
from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError


class Category(Document):
    name: Indexed(str, unique=True)


class Product(Document):
    name: str
    price: float
    category: Link[Category]


async def shop(uri: str) -> None:
    async with AsyncMongoClient(uri) as client:
        await init_beanie(database=client.beanie, document_models=[Category, Product])
        sweets = await Category(name="sweets").insert()
        names = ("Tony", "Twix", "Bounty")
        await Product.insert_many(
            [Product(name=name, price=i + 2, category=sweets) for i, name in enumerate(names)]
        )
        try:
            await Category(name="sweets").insert()
        except DuplicateKeyError as error:
            print("refused", error.details["keyPattern"])

        found = await Product.find(Product.price > 2, fetch_links=True).sort("-price").to_list()
        print([(product.name, product.category.name) for product in found])
        assert [product.name for product in found] == ["Bounty", "Twix"]
        async for product in Product.find(Product.price <= 3):
            print(product.name, product.price)

        await Product.find(Product.name == "Tony").update({"$inc": {"price": 10}})
        tony = await Product.find_one(Product.name == "Tony")
        tony.price += 1
        await tony.save()
        group = {"$group": {"_id": None, "total": {"$sum": "$price"}}}
        total = await Product.aggregate([group]).to_list()
        print(total, await Product.find().avg("price"), await Product.distinct("name"))
        assert total == [{"_id": None, "total": 20}]

        async with client.start_session() as session, await session.start_transaction():
            await tony.delete(session=session)
            print("within", await Product.find(session=session).count())
            await session.abort_transaction()
        print("after", await Product.count(), (await Product.find().delete()).deleted_count)


def main(uri: str) -> None:
    asyncio.run(shop(uri))


if __name__ == "__main__":
    main(sys.argv[1])
