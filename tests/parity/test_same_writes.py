"""Inserts, updates and deletes do and raise the same as PyMongo's: see `same.py`."""

from __future__ import annotations

from typing import Any

import bson
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument, WriteConcern
from tests.parity.same import Case, Cases, filled, outcome

case = Cases()


# Insert


@case
def insert_one(db: Any) -> Any:
    document = {"a": 1}
    result = db.x.insert_one(document)
    return result.acknowledged, result.inserted_id == document["_id"], type(result).__name__


@case
def insert_one_keeps_id(db: Any) -> Any:
    return db.x.insert_one({"_id": "mine"})


@case
def insert_one_duplicate(db: Any) -> Any:
    db.x.insert_one({"_id": 1})
    db.x.insert_one({"_id": 1})


@case
def insert_one_not_a_document(db: Any) -> Any:
    db.x.insert_one([1])


@case
def insert_one_raw(db: Any) -> Any:
    raw = RawBSONDocument(bson.encode({"_id": 5}))
    return db.x.insert_one(raw), db.x.find_one()


@case
def insert_one_invalid_by_schema(db: Any) -> Any:
    db.create_collection("v", validator={"a": {"$type": "int"}})
    db.v.insert_one({"_id": 1, "a": "x"}, bypass_document_validation=True)
    db.v.insert_one({"_id": 2, "a": "x"})


@case
def insert_one_unacknowledged(db: Any) -> Any:
    return db.x.with_options(write_concern=WriteConcern(w=0)).insert_one({"_id": 1})


@case
def insert_one_impossible_write_concern(db: Any) -> Any:
    concern = WriteConcern(w=40, wtimeout=50)
    db.x.with_options(write_concern=concern).insert_one({"_id": 1})


@case
def insert_many(db: Any) -> Any:
    return db.x.insert_many([{"_id": 1}, {"_id": 2}]), db.x.find().to_list()


@case
def insert_many_adds_ids(db: Any) -> Any:
    documents: list[dict[str, Any]] = [{}, {}]
    ids = db.x.insert_many(documents).inserted_ids
    return [isinstance(i, ObjectId) for i in ids], [d["_id"] for d in documents] == ids


@case
def insert_many_generator(db: Any) -> Any:
    return db.x.insert_many({"_id": i} for i in range(3))


@case
def insert_many_duplicates_ordered(db: Any) -> Any:
    db.x.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}])


@case
def insert_many_duplicates_unordered(db: Any) -> Any:
    db.x.insert_many([{"_id": i % 2} for i in range(5)], ordered=False)


@case
def insert_many_nothing(db: Any) -> Any:
    db.x.insert_many([])


@case
def insert_many_mapping(db: Any) -> Any:
    db.x.insert_many({"a": 1})


@case
def insert_many_wrong_element(db: Any) -> Any:
    db.x.insert_many([{"a": 1}, 2])


# Update and delete


@case
def update_one(db: Any) -> Any:
    x = filled(db)
    result = x.update_one({"_id": 1}, {"$set": {"a": 9}})
    return result.matched_count, result.modified_count, result.upserted_id, x.find_one(1)


@case
def update_one_upsert(db: Any) -> Any:
    result = db.x.update_one({"_id": 5}, {"$set": {"a": 9}}, upsert=True)
    raw = {k: result.raw_result[k] for k in ("n", "nModified", "upserted", "updatedExisting", "ok")}
    return result.matched_count, result.modified_count, result.upserted_id, raw


@case
def update_one_raw_result(db: Any) -> Any:
    raw = filled(db).update_one({"_id": 1}, {"$set": {"a": 9}}).raw_result
    return sorted(raw), raw["updatedExisting"]


@case
def update_many_pipeline(db: Any) -> Any:
    x = filled(db)
    return x.update_many({"a": 1}, [{"$set": {"b": "$a"}}]).modified_count, x.find(
        {"b": 1}
    ).to_list()


@case
def update_array_filters(db: Any) -> Any:
    db.x.insert_one({"_id": 1, "v": [1, 5, 9]})
    db.x.update_one({}, {"$set": {"v.$[big]": 0}}, array_filters=[{"big": {"$gt": 3}}])
    return db.x.find_one()


@case
def update_immutable_field(db: Any) -> Any:
    filled(db).update_one({"_id": 1}, {"$set": {"_id": 2}})


@case
def update_bad_arguments(db: Any) -> Any:
    calls: list[Case] = [
        lambda db: db.x.update_one({}, {}),
        lambda db: db.x.update_one({}, {"a": 1}),
        lambda db: db.x.update_one([], {"$set": {"a": 1}}),
        lambda db: db.x.update_one({}, 3),
        lambda db: db.x.update_one({}, {"$set": {"a": 1}}, upsert="yes"),
        lambda db: db.x.update_one({}, {"$set": {"a": 1}}, array_filters={}),
        lambda db: db.x.replace_one({}, {"$set": {"a": 1}}),
        lambda db: db.x.replace_one(3, {}),
        lambda db: db.x.delete_one(3),
        lambda db: db.x.delete_many(None),
    ]
    return [outcome(call, db) for call in calls]


@case
def replace_one(db: Any) -> Any:
    x = filled(db)
    return x.replace_one({"_id": 1}, {"new": 1}).modified_count, x.find_one(1)


@case
def delete(db: Any) -> Any:
    x = filled(db)
    one = x.delete_one({"a": 1}).deleted_count
    return one, x.delete_many({"a": {"$gt": 1}}).deleted_count, x.count_documents({})


@case
def unacknowledged_writes(db: Any) -> Any:
    x = filled(db).with_options(write_concern=WriteConcern(w=0))
    update = x.update_one({"_id": 1}, {"$set": {"a": 9}})
    return update, update.acknowledged, x.delete_one({"_id": 1}).acknowledged


@case
def unacknowledged_count(db: Any) -> Any:
    x = filled(db).with_options(write_concern=WriteConcern(w=0))
    return x.update_one({"_id": 1}, {"$set": {"a": 9}}).matched_count


@case
def unacknowledged_collation(db: Any) -> Any:
    x = db.x.with_options(write_concern=WriteConcern(w=0))
    x.delete_one({}, collation={"locale": "en"})


@case
def find_and_modify(db: Any) -> Any:
    x = filled(db)
    return (
        x.find_one_and_update({"_id": 1}, {"$inc": {"a": 5}}),
        x.find_one_and_update({"_id": 1}, {"$inc": {"a": 5}}, return_document=ReturnDocument.AFTER),
        x.find_one_and_update({"a": 0}, {"$set": {"z": 1}}, ["s"], [("_id", -1)]),
        x.find_one_and_replace({"_id": 2}, {"r": 1}, return_document=True, projection={"_id": 0}),
        x.find_one_and_update({"_id": 99}, {"$set": {"u": 1}}, upsert=True, return_document=True),
        x.find_one_and_delete({"a": 3}, sort=[("_id", 1)]),
        x.find_one_and_delete({"a": 777}),
    )


@case
def find_and_modify_duplicate(db: Any) -> Any:
    x = filled(db)
    x.create_index("s", unique=True)
    x.find_one_and_update({"_id": 1}, {"$set": {"s": "v02"}})


@case
def find_and_modify_bad_return_document(db: Any) -> Any:
    db.x.find_one_and_update({}, {"$set": {"a": 1}}, return_document="after")


test_same = case.test()
