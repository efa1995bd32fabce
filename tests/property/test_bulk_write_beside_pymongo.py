"""Whatever a bulk write is made of: PyMongo answers the same, or raises the same error with the
same details, and leaves the same documents. On a real server."""

from __future__ import annotations

from typing import Any

import pymongo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne

import ferromongo

keys = st.integers(0, 4)
values = st.integers(0, 2)
filters = st.one_of(
    st.builds(lambda key: {"_id": key}, keys),
    st.builds(lambda value: {"a": value}, values),
    st.just({"$no": 1}),
)
updates = st.one_of(
    st.builds(lambda value: {"$set": {"a": value}}, values),
    st.just({"$inc": {"a": 1}}),
    st.just([{"$set": {"b": "$a"}}]),
    st.just({"$set": {"_id": 9}}),
)
upserts = st.sampled_from([None, False, True])
requests = st.one_of(
    st.builds(lambda key, value: InsertOne({"_id": key, "a": value}), keys, values),
    st.builds(UpdateOne, filters, updates, upserts),
    st.builds(UpdateMany, filters, updates, upserts),
    st.builds(
        lambda where, value, upsert: ReplaceOne(where, {"a": value}, upsert),
        filters,
        values,
        upserts,
    ),
    st.builds(DeleteOne, filters),
    st.builds(DeleteMany, filters),
)


@pytest.fixture(scope="module")
def collections(mongodb_uri: str) -> Any:
    with (
        pymongo.MongoClient(mongodb_uri, w=1) as theirs,
        ferromongo.MongoClient(mongodb_uri, w=1) as ours,
    ):
        name = "bulk_write_beside_pymongo"
        yield ours[name].c, theirs[name].c
        theirs.drop_database(name)


# Each example takes a server tens of milliseconds.
@settings(max_examples=min(settings().max_examples // 4, 1000))
@given(st.lists(requests, min_size=1, max_size=12), st.booleans())
def test_bulk_write(collections: Any, requests: list[Any], ordered: bool) -> None:
    ours, theirs = (outcome(collection, requests, ordered) for collection in collections)
    assert ours == theirs


def outcome(collection: Any, requests: list[Any], ordered: bool) -> Any:
    """Ids that the server makes for upserts are replaced by their type."""
    collection.delete_many({})
    collection.insert_many([{"_id": 0, "a": 0}, {"_id": 1, "a": 1}])
    try:
        answer: Any = collection.bulk_write(requests, ordered=ordered).bulk_api_result
    except Exception as error:
        answer = type(error), getattr(error, "details", None)
    stored = sorted(repr(plain(document)) for document in collection.find())
    return plain(answer), stored


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return type(value) if type(value).__name__ == "ObjectId" else value


TIMES = {"$clusterTime", "operationTime", "electionId", "opTime"}
