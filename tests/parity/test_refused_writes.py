"""Writes that are too large, or whose write concern cannot hold: refused as by PyMongo."""

import pymongo
import pytest
from pymongo import IndexModel, WriteConcern
from pymongo.errors import PyMongoError

import ferromongo

MEGABYTES_16 = 16 * 1024 * 1024
OVERHEAD = 16_382
CALLS = {
    "insert_one": lambda c, text: c.insert_one({"_id": 1, "x": text}),
    "insert_many": lambda c, text: c.insert_many([{"_id": 1}, {"_id": 2, "x": text}]),
    "replace_one": lambda c, text: c.replace_one({}, {"x": text}),
    "update_one": lambda c, text: c.update_one({}, {"$set": {"x": text}}),
    "delete_one": lambda c, text: c.delete_one({"x": text}),
    "find_one": lambda c, text: c.find_one({"x": text}),
    "find_one_and_delete": lambda c, text: c.find_one_and_delete({"x": text}),
    "count_documents": lambda c, text: c.count_documents({"x": text}),
    "command": lambda c, text: c.database.command("ping", x=text),
}


def outcome(call, *arguments):
    try:
        return type(call(*arguments))
    except (PyMongoError, pymongo.errors.InvalidDocument) as error:
        return type(error), getattr(error, "code", None)


@pytest.mark.parametrize("size", [MEGABYTES_16, MEGABYTES_16 + OVERHEAD, 3 * MEGABYTES_16])
@pytest.mark.parametrize("w", [1, 0])
def test_too_large(w, size, mongodb_uri, mongodb_database_name):
    text, found = "x" * size, {}
    for package in (pymongo, ferromongo):
        with package.MongoClient(mongodb_uri) as client:
            collection = client[mongodb_database_name].get_collection(
                "x", write_concern=WriteConcern(w=w)
            )
            client.drop_database(mongodb_database_name)
            for name, call in CALLS.items():
                found.setdefault(name, []).append(outcome(call, collection, text))
    for name, (theirs, ours) in found.items():
        assert ours == theirs, name


def test_room_for_a_command_around_the_largest_document(mongodb_uri, mongodb_database_name):
    with ferromongo.MongoClient(mongodb_uri) as client:
        collection = client[mongodb_database_name].x
        largest = "x" * (MEGABYTES_16 - 32)
        assert collection.replace_one({"_id": 1}, {"x": largest}, upsert=True).upserted_id == 1


IMPOSSIBLE = {
    "create_index": lambda c: c.create_index("a"),
    "create_indexes": lambda c: c.create_indexes([IndexModel("b")]),
    "drop_index": lambda c: c.drop_index("a_1"),
    "drop_indexes": lambda c: c.drop_indexes(),
    "rename": lambda c: c.rename("y"),
    "rename to what exists": lambda c: c.rename("y"),
    "drop": lambda c: c.drop(),
    "drop what is gone": lambda c: c.database.drop_collection("nothing"),
    "create_collection": lambda c: c.database.create_collection("z"),
    "create what exists": lambda c: c.database.create_collection("z", check_exists=False),
    "find_one_and_update": lambda c: c.find_one_and_update({}, {"$set": {"a": 2}}, upsert=True),
    "update_one": lambda c: c.update_one({}, {"$set": {"a": 3}}),
    "command": lambda c: c.database.command(
        "create", "zz", write_concern=c.write_concern, parse_write_concern_error=True
    ),
    "command, unparsed": lambda c: c.database.command("create", "z", writeConcern={"w": 9}),
}


def test_impossible_write_concern(mongodb_uri, mongodb_database_name):
    found = []
    for package in (pymongo, ferromongo):
        with package.MongoClient(mongodb_uri) as client:
            client.drop_database(mongodb_database_name)
            database = client[mongodb_database_name]
            database.x.insert_one({"a": 1})
            concern = WriteConcern(w=9, wtimeout=1)
            collection = database.with_options(write_concern=concern).x
            found.append({name: outcome(call, collection) for name, call in IMPOSSIBLE.items()})
    assert found[1] == found[0]


def test_bypassing_validation_needs_an_answer(mongodb_uri, mongodb_database_name):
    for package in (pymongo, ferromongo):
        with package.MongoClient(mongodb_uri) as client:
            collection = client[mongodb_database_name].get_collection(
                "x", write_concern=WriteConcern(w=0)
            )
            with pytest.raises(pymongo.errors.OperationFailure):
                collection.insert_many([{}], bypass_document_validation=True)
            collection.insert_one({}, bypass_document_validation=True)


@pytest.mark.parametrize(
    "filter",
    [
        {"$query": {}, "$orderby": {"a": -1}},
        {"$query": {"a": {"$gt": 1}}, "$hint": {"a": 1}, "$min": {"a": 2}, "$comment": "old"},
        {"$query": {}, "$returnKey": True, "$hint": {"a": 1}, "$readPreference": {"mode": 1}},
    ],
)
def test_filters_of_old(filter, mongodb_uri, mongodb_database_name):
    found = []
    for package in (pymongo, ferromongo):
        with package.MongoClient(mongodb_uri) as client:
            collection = client[mongodb_database_name].x
            collection.drop()
            collection.insert_many([{"_id": n, "a": n} for n in range(5)])
            collection.create_index("a")
            found.append([list(collection.find(filter)), collection.find_one(filter)])
    assert found[1] == found[0]


def test_list_of_changes_ends_when_it_has_caught_up(mongodb_uri, mongodb_database_name):
    for package in (pymongo, ferromongo):
        with package.MongoClient(mongodb_uri) as client:
            stages = [{"$changeStream": {}}]
            with client[mongodb_database_name].x.aggregate(stages, maxAwaitTimeMS=1) as cursor:
                assert cursor.to_list() == []
                assert cursor.alive
