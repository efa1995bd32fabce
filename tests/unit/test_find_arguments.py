"""`find` and its relatives show PyMongo's parameters."""

import inspect
from unittest import mock

import pymongo.asynchronous.cursor
import pymongo.synchronous.cursor
import pytest
from gridfs.asynchronous.grid_file import AsyncGridOutCursor
from gridfs.grid_file import GridOutCursor

import ferromongo
from ferromongo import gridfs as our_gridfs
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.collection import Collection

SYNC = pymongo.synchronous.cursor.Cursor
ASYNC = pymongo.asynchronous.cursor.AsyncCursor


def parameters(function):
    """Names, kinds and defaults, without the object and the collection of a cursor."""
    found = list(inspect.signature(function).parameters.values())
    return [(p.name, p.kind, p.default) for p in found if p.name not in ("self", "collection")]


@pytest.mark.parametrize("name", ["find", "find_one", "find_raw_batches"])
@pytest.mark.parametrize(("ours", "cursor"), [(Collection, SYNC), (AsyncCollection, ASYNC)])
def test_of_a_collection(ours, cursor, name):
    method = getattr(ours, name)
    assert parameters(method) == parameters(cursor.__init__)
    assert next(iter(inspect.signature(method).parameters)) == "self"
    collection = ferromongo.MongoClient(connect=False).a.b
    assert "self" not in inspect.signature(getattr(collection, name)).parameters


@pytest.mark.parametrize("name", ["GridFS", "GridFSBucket", "AsyncGridFS", "AsyncGridFSBucket"])
def test_of_files(name):
    cursor = AsyncGridOutCursor if name.startswith("Async") else GridOutCursor
    assert parameters(getattr(our_gridfs, name).find) == parameters(cursor.__init__)


def test_mocks_know_them():
    collection = mock.create_autospec(Collection, instance=True)
    collection.find({}, limit=3)
    collection.find_one({}, sort=[("a", 1)])
    for method in (collection.find, collection.find_one, collection.find_raw_batches):
        with pytest.raises(TypeError, match="nonsense"):
            method(nonsense=1)


@pytest.mark.parametrize("name", ["find", "find_one", "find_raw_batches"])
def test_others_are_refused(name):
    collection = ferromongo.MongoClient(connect=False).a.b
    with pytest.raises(TypeError, match="nonsense"):
        getattr(collection, name)({}, nonsense=1)
