"""ODMantic: its asynchronous engine on Motor's client, its synchronous one on PyMongo's."""

import asyncio
import sys

from motor.motor_asyncio import AsyncIOMotorClient
from odmantic import AIOEngine, Model, Reference, SyncEngine
from pymongo import MongoClient


class Publisher(Model):
    name: str


class Book(Model):
    title: str
    pages: int
    publisher: Publisher = Reference()


async def on_motor(uri: str) -> None:
    client = AsyncIOMotorClient(uri)
    engine = AIOEngine(client=client, database="odmantic")
    await engine.configure_database([Publisher, Book])
    publisher = Publisher(name="Ace")
    books = [Book(title=f"Volume {n}", pages=n, publisher=publisher) for n in range(4)]
    await engine.save_all(books)
    thick = await engine.find(Book, Book.pages > 1, sort=Book.pages.desc())
    print([book.title for book in thick], await engine.count(Book))
    assert [book.pages for book in thick] == [3, 2]

    async with engine.transaction() as transaction:
        await transaction.save(Book(title="Written", pages=9, publisher=publisher))
        await transaction.commit()
    async with engine.transaction() as transaction:
        await transaction.save(Book(title="Withdrawn", pages=10, publisher=publisher))
        await transaction.abort()
    async for book in engine.find(Book, sort=Book.title):
        print(book.title, book.publisher.name)
    await engine.delete(books[0])
    print(await engine.remove(Book, Book.pages < 3), await engine.count(Book))
    assert await engine.count(Book) == 2
    client.close()


def on_pymongo(uri: str) -> None:
    with MongoClient(uri) as client:
        engine = SyncEngine(client=client, database="odmantic_sync")
        engine.save(Publisher(name="Tor"))
        with engine.session() as session:
            print(session.count(Publisher), session.find_one(Publisher).name)
        collection = engine.get_collection(Publisher)
        print([document["name"] for document in collection.find()])


def main(uri: str) -> None:
    asyncio.run(on_motor(uri))
    on_pymongo(uri)


if __name__ == "__main__":
    main(sys.argv[1])
