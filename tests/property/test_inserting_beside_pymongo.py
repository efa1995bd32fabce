"""Whatever is inserted: PyMongo stores the same bytes, leaves the same in the caller's documents
(an `_id` where there was none), answers the same ids or raises the same error. On a real server."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import bson
import pymongo
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import assume, given, settings
from tests.property.choices import seeds
from tests.property.python_values import ValueMaker

import ferromongo

RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)


@pytest.fixture(scope="module")
def collections(mongodb_uri: str) -> Any:
    """For each driver a collection of its own, and how PyMongo sees what is in it."""
    with (
        pymongo.MongoClient(mongodb_uri, w=1) as theirs,
        ferromongo.MongoClient(mongodb_uri, w=1) as ours,
    ):
        database = theirs.get_database("inserting_beside_pymongo", RAW)
        yield [
            (client[database.name][name], database[name])
            for client, name in ((ours, "ours"), (theirs, "theirs"))
        ]
        theirs.drop_database(database.name)


# Each example takes a server about 20 ms.
few = settings(max_examples=min(settings().max_examples, 1000))


@few
@given(seeds)
def test_insert_one(collections: Any, seed: bytes) -> None:
    ours, theirs = (insert_one(seed, *pair) for pair in collections)
    assert ours == theirs


@few
@given(seeds)
def test_insert_many(collections: Any, seed: bytes) -> None:
    ours, theirs = (insert_many(seed, *pair) for pair in collections)
    assert ours == theirs


def insert_one(seed: bytes, collection: Any, seen: Any) -> Any:
    documents = [to_insert(ValueMaker(seed))]
    assume(hasattr(documents[0], "get"))
    return told(lambda: [collection.insert_one(documents[0]).inserted_id], documents, seen)


def insert_many(seed: bytes, collection: Any, seen: Any) -> Any:
    maker = ValueMaker(seed)
    documents = [to_insert(maker) for _ in range(1 + maker.below(4))]
    # When one is no document at all, PyMongo has given ids to those before it; here none gets one.
    assume(all(isinstance(document, (MutableMapping, RawBSONDocument)) for document in documents))
    ordered = bool(maker.below(2))
    return told(
        lambda: collection.insert_many(documents, ordered=ordered).inserted_ids, documents, seen
    )


def to_insert(maker: ValueMaker) -> Any:
    document = maker.raw(0) if maker.rarely(12) else maker.mapping(0)
    stamps = [value for value in document.values() if isinstance(value, bson.Timestamp)]
    # The server puts its own time into an empty one.
    assume(all(stamp.time or stamp.inc for stamp in stamps))
    return document


def told(insert: Callable[[], list[Any]], documents: list[Any], seen: Any) -> Any:
    """All there is to see. New ids are random: what is stored is compared without them, and what is
    answered must be the objects that the documents have got."""
    given = {key for document in documents if type(key := id_of(document)) is bson.ObjectId}
    try:
        answer: Any = insert()
    except Exception as error:
        answer = type(error), getattr(error, "code", None)
    stored = [bytes(document.raw) for document in seen.find()]
    seen.delete_many({})
    ids = [id_of(document) for document in documents]
    if isinstance(answer, list):
        answer = [any(key is each for each in ids) for key in answer]
    fields = [list(map(repr, document)) for document in documents]
    stored = [without_new_id(data, given) for data in stored]
    return answer, stored, fields, [type(key) for key in ids]


def id_of(document: Any) -> Any:
    """None of a raw document: it is never changed, and its id is not told."""
    return None if isinstance(document, RawBSONDocument) else document.get("_id")


def without_new_id(data: bytes, given: set[bson.ObjectId]) -> bytes:
    if data[4:9] == b"\x07_id\0" and bson.ObjectId(data[9:21]) not in given:
        return data[:9] + data[21:]
    return data
