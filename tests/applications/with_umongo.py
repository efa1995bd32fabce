"""umongo: documents with marshmallow's fields, on PyMongo's collections."""

import sys

from pymongo import MongoClient
from umongo import Document, ValidationError, fields, validate
from umongo.frameworks import PyMongoInstance

instance = PyMongoInstance()


@instance.register
class Author(Document):
    name = fields.StrField(required=True, unique=True)


@instance.register
class Book(Document):
    title = fields.StrField(required=True, validate=validate.Length(max=12))
    pages = fields.IntField()
    author = fields.ReferenceField(Author)

    class Meta:
        indexes = ("-pages",)


def main(uri: str) -> None:
    with MongoClient(uri) as client:
        instance.set_db(client.umongo)
        Author.ensure_indexes()
        Book.ensure_indexes()
        print(sorted(client.umongo.book.index_information()))

        ursula = Author(name="Ursula")
        ursula.commit()
        for number in range(1, 5):
            Book(title=f"Volume {number}", pages=100 * number, author=ursula).commit()

        thick = [book.title for book in Book.find({"pages": {"$gt": 150}}).sort("pages", -1)]
        print(thick, Book.count_documents())
        assert thick == ["Volume 4", "Volume 3", "Volume 2"]
        cursor = Book.find().sort("pages", 1)
        print(cursor[1].title, [book.title for book in cursor[2:4]], next(Book.find()).title)

        first = Book.find_one({"title": "Volume 1"})
        first.pages = 50
        first.commit()
        first.reload()
        print(first.pages, first.author.fetch().name)
        assert first.author.fetch() == ursula
        for made, values in (
            (Author, {"name": "Ursula"}),
            (Book, {"title": "More than 12 letters"}),
        ):
            try:
                made(**values).commit()
            except ValidationError as error:
                print(error)
        first.delete()
        print(Book.count_documents(), client.umongo.book.count_documents({}))


if __name__ == "__main__":
    main(sys.argv[1])
