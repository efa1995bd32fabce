"""PyMongoArrow on ferromongo's collections, beside PyMongo's: docs/dataframes.md."""

import datetime

import numpy
import pandas
import polars
import pyarrow
import pymongo
import pytest
from bson import CodecOptions, Decimal128, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.errors import InvalidOperation, OperationFailure
from pymongoarrow import api
from pymongoarrow.errors import ArrowWriteError
from pymongoarrow.types import ObjectIdType

KINDS = ["arrow", "pandas", "polars", "numpy"]
SCHEMA = {"_id": ObjectIdType(), "n": int, "price": float, "at": datetime.datetime, "item": str}


@pytest.fixture(scope="module")
def documents():
    day = datetime.datetime(2026, 1, 1)
    return [
        {
            "_id": ObjectId(),
            "n": n,
            "price": n / 4,
            "at": day + datetime.timedelta(n),
            "item": "tea" * (n % 3),
        }
        for n in range(3000)
    ]


@pytest.fixture
def both(mongodb_uri, database, documents):
    """The same collection, ferromongo's and PyMongo's."""
    database.orders.insert_many(documents)
    with pymongo.MongoClient(mongodb_uri) as peer:
        yield database.orders, peer[database.name].orders


def plain(table):
    """What can be compared."""
    if isinstance(table, dict):
        return {name: list(column) for name, column in table.items()}
    if isinstance(table, pandas.DataFrame):
        return table.to_dict("list")
    if isinstance(table, polars.DataFrame):
        return table.to_dict(as_series=False)
    return table.to_pydict()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schema", [None, api.Schema(SCHEMA)], ids=["inferred", "schema"])
def test_find(both, kind, schema, documents):
    find = getattr(api, f"find_{kind}_all")
    ours, theirs = (
        find(collection, {"n": {"$gte": 10}}, schema=schema, sort=[("n", 1)], batch_size=700)
        for collection in both
    )
    assert type(ours) is type(theirs)
    assert plain(ours) == plain(theirs)
    assert list(plain(ours)["n"]) == list(range(10, len(documents)))


@pytest.mark.parametrize("kind", KINDS)
def test_aggregate(both, kind):
    aggregate = getattr(api, f"aggregate_{kind}_all")
    pipeline = [
        {"$group": {"_id": "$item", "total": {"$sum": "$price"}}},
        {"$sort": {"_id": 1}},
    ]
    ours, theirs = (aggregate(collection, list(pipeline)) for collection in both)
    assert plain(ours) == plain(theirs)
    assert list(plain(ours)["_id"]) == ["", "tea", "teatea"]


@pytest.mark.parametrize("parallelism", ["threads", "off"])
def test_find_with_threads(both, parallelism):
    options = {"sort": [("n", 1)], "batch_size": 500, "parallelism": parallelism}
    ours, theirs = (api.find_arrow_all(collection, {}, **options) for collection in both)
    assert ours.equals(theirs)


TABLES = [
    pyarrow.table(
        {"_id": [1, 2], "item": ["tea", None], "at": [datetime.datetime(2026, 1, 1)] * 2}
    ),
    pandas.DataFrame({"_id": [1, 2], "item": ["tea", "cup"], "price": [1.5, 2.5]}),
    polars.DataFrame({"_id": [1, 2], "item": ["tea", "cup"], "price": [1.5, 2.5]}),
    {"_id": numpy.array([1, 2]), "price": numpy.array([1.5, 2.5])},
]


@pytest.mark.parametrize(
    "table", TABLES, ids=lambda table: type(table).__module__.partition(".")[0]
)
def test_write(table, database, mongodb_uri):
    api.write(database.ours, table)
    with pymongo.MongoClient(mongodb_uri) as peer:
        api.write(peer[database.name].theirs, table)
    ours, theirs = (list(c.find({}, sort=["_id"])) for c in (database.ours, database.theirs))
    assert ours == theirs
    assert [document["_id"] for document in ours] == [1, 2]


def test_a_write_that_fails(database):
    database.c.insert_one({"_id": 2})
    with pytest.raises(ArrowWriteError) as failure:
        api.write(database.c, pyarrow.table({"_id": [1, 2, 3]}))
    assert failure.value.details["nInserted"] == 1
    assert failure.value.details["writeErrors"][0]["index"] == 1


def test_an_error_of_the_server(database):
    with pytest.raises(OperationFailure, match="unknown operator"):
        api.find_pandas_all(database.c, {"a": {"$nonsense": 1}})


def test_codec_options_and_sessions(client, database):
    options = CodecOptions(tz_aware=True, document_class=RawBSONDocument)
    collection = database.get_collection("c", options)
    price = Decimal128("1.50")
    with client.start_session() as session, session.start_transaction():
        database.c.insert_one({"_id": 1, "price": price}, session=session)
        table = api.find_arrow_all(collection, {}, session=session)
        assert table.num_rows == 1
        assert api.find_arrow_all(collection, {}).num_rows == 0


async def test_asynchronous_collections_are_refused(async_database):
    with pytest.raises(InvalidOperation, match="AsyncRawBatchCursor"):
        api.find_arrow_all(async_database.c, {})
