"""What the threads of `ending.py` share: documents, clients, Python code that the engine calls."""

import datetime
import decimal

import bson
from bson.codec_options import TypeCodec, TypeRegistry

SETUPS = {}
DOCUMENTS = [
    {
        "n": n,
        "text": "t" * 20,
        "inner": {"list": [n, 1.5, "x"]},
        "at": datetime.datetime(2020, 1, 1),
    }
    for n in range(60)
]


def setup(function):
    """Each prepares something in a daemon thread and returns what to do again and again there."""
    SETUPS[function.__name__] = function
    return function


class Work:
    def __init__(self, driver, uri, name):
        self.driver, self.uri, self.name = driver, uri, name
        self.steps = 0
        self.waits = False
        """For something: set by a step that does not end."""

    def client(self, **options):
        return self.driver.client(self.uri, **options)

    async def find(self, documents=DOCUMENTS, **options):
        """What reads the documents with a client of these options."""
        registry = TypeRegistry([DecimalCodec()])
        async with self.client(type_registry=registry) as client:
            await client[self.name].plain.insert_many([{**document} for document in documents])
        collection = self.client(**options)[self.name].plain

        async def read():
            async for _ in collection.find():
                pass

        return read


def spin():
    """Runs long enough to lose the GIL now and then."""
    return sum(range(300))


class Kept(dict):
    def __setitem__(self, key, value):
        spin()
        super().__setitem__(key, value)

    def __del__(self):
        spin()


class DecimalCodec(TypeCodec):
    python_type, bson_type = decimal.Decimal, bson.Decimal128

    def transform_python(self, value):
        spin()
        return bson.Decimal128(value)

    def transform_bson(self, value):
        spin()
        return value.to_decimal()
