"""Finds, counts and aggregates do and raise the same as PyMongo's: see `same.py`."""

from __future__ import annotations

import pickle
from typing import Any

from bson import SON, Code
from pymongo import CursorType, WriteConcern
from pymongo.read_concern import ReadConcern
from tests.parity.same import Case, Cases, filled, outcome

case = Cases()


# Find


@case
def find_one(db: Any) -> Any:
    x = filled(db)
    return (
        x.find_one(3),
        x.find_one({"_id": 4}),
        x.find_one({"a": 2}, {"s": 1}),
        x.find_one({"a": 2}, ["s"], sort=[("_id", -1)]),
        x.find_one(skip=2, sort={"_id": 1}),
        x.find_one({"a": 77}),
        db.nothing.find_one(),
        x.find_one(filter={"_id": 9}, projection={"_id": 0}),
    )


@case
def find_one_unknown_operator(db: Any) -> Any:
    filled(db).find_one({"$nonsense": 1})


@case
def find_one_unknown_argument(db: Any) -> Any:
    db.x.find_one({}, nonsense=1)


@case
def find_chained(db: Any) -> Any:
    x = filled(db)
    return list(x.find({"a": {"$gt": 0}}, ["s"]).sort("_id", -1).skip(2).limit(9).batch_size(3))


@case
def find_arguments(db: Any) -> Any:
    x = filled(db)
    return x.find({}, {"a": 0}, 3, 4, sort=[("a", 1), ("_id", -1)], hint="_id_").to_list()


@case
def find_limits(db: Any) -> Any:
    x = filled(db)
    return [len(x.find().limit(n).batch_size(b).to_list()) for n in (0, 5, -5) for b in (0, 2, 5)]


@case
def find_many_batches(db: Any) -> Any:
    x = filled(db, 1000)
    cursor = x.find(batch_size=7)
    return [document["_id"] for document in cursor], cursor.alive, cursor.cursor_id


@case
def find_cursor_properties(db: Any) -> Any:
    cursor = filled(db).find(batch_size=5)
    before = cursor.alive, cursor.cursor_id, cursor.retrieved, cursor.address, cursor.session
    cursor.next()
    during = cursor.alive, bool(cursor.cursor_id), cursor.retrieved, bool(cursor.address)
    kind = type(cursor.cursor_id).__name__
    cursor.close()
    return before, during, kind


@case
def find_to_list_in_parts(db: Any) -> Any:
    cursor = filled(db).find(batch_size=6)
    return cursor.to_list(4), cursor.to_list(4), len(cursor.to_list()), cursor.to_list()


@case
def find_slices(db: Any) -> Any:
    x = filled(db)
    return x.find()[4], x.find()[3:6].to_list(), x.find()[5:5].to_list(), x.find().skip(2)[1]


@case
def find_index_outside(db: Any) -> Any:
    db.x.find()[3]


@case
def find_negative_index(db: Any) -> Any:
    db.x.find()[-1]


@case
def find_rewind_and_clone(db: Any) -> Any:
    cursor = filled(db).find().sort("_id", 1).limit(3)
    return list(cursor), list(cursor), list(cursor.rewind()), list(cursor.clone())


@case
def find_chain_after_start(db: Any) -> Any:
    cursor = filled(db).find()
    cursor.next()
    cursor.limit(2)


@case
def find_where(db: Any) -> Any:
    return filled(db).find().where(Code("this._id < 3")).to_list()


@case
def find_collation(db: Any) -> Any:
    db.x.insert_many([{"_id": 1, "s": "A"}, {"_id": 2, "s": "a"}])
    return db.x.find({"s": "a"}, collation={"locale": "en", "strength": 2}).to_list()


@case
def find_min_max(db: Any) -> Any:
    x = filled(db)
    return x.find().min([("_id", 3)]).max([("_id", 6)]).hint([("_id", 1)]).to_list()


@case
def find_min_without_hint(db: Any) -> Any:
    filled(db).find().min([("_id", 3)]).to_list()


@case
def find_flags(db: Any) -> Any:
    x = filled(db)
    cursor = x.find(no_cursor_timeout=True, allow_partial_results=True, show_record_id=True)
    return sorted(cursor.to_list(1)[0]), x.find(return_key=True, hint="_id_").to_list(2)


@case
def find_let_and_comment(db: Any) -> Any:
    filter = {"$expr": {"$eq": ["$_id", "$$wanted"]}}
    return filled(db).find(filter, let={"wanted": 7}, comment="why").to_list()


@case
def find_max_time(db: Any) -> Any:
    return filled(db).find(max_time_ms=10000, allow_disk_use=True).to_list(1)


@case
def find_explain(db: Any) -> Any:
    return filled(db).find({"a": 1}).limit(3).explain()["queryPlanner"]["parsedQuery"]


@case
def find_cursor_distinct(db: Any) -> Any:
    return filled(db).find({"_id": {"$lt": 3}}).distinct("a")


@case
def find_tailable(db: Any) -> Any:
    db.create_collection("c", capped=True, size=10000)
    db.c.insert_many([{"_id": 1}, {"_id": 2}])
    cursor = db.c.find(cursor_type=CursorType.TAILABLE)
    first = cursor.next(), cursor.next(), list(cursor), cursor.alive
    db.c.insert_one({"_id": 3})
    return first, cursor.next(), cursor.close()


@case
def find_bad_arguments(db: Any) -> Any:
    found = []
    for arguments in (
        {"limit": "3"},
        {"skip": "3"},
        {"batch_size": -1},
        {"batch_size": "1"},
        {"filter": 3},
        {"projection": 3},
        {"projection": [1]},
        {"cursor_type": 9},
        {"no_cursor_timeout": "yes"},
        {"sort": "a"},
        {"sort": [("a",)]},
        {"let": 3},
        {"collation": 3},
        {"allow_disk_use": 1},
    ):
        found.append(outcome(lambda db, a=arguments: db.x.find(**a), db))
    return found


@case
def cursor_bad_arguments(db: Any) -> Any:
    methods = ("skip", "limit", "batch_size", "max_time_ms", "min", "max", "sort", "hint")
    return [
        (outcome(lambda db, m=m, v=v: getattr(db.x.find(), m)(v) and None, db), m, v)
        for m in methods
        for v in ("text", -1, [], 1.5)
    ]


@case
def to_list_of_nothing(db: Any) -> Any:
    db.x.find().to_list(0)


@case
def document_class(db: Any) -> Any:
    x = filled(db).with_options(codec_options=db.codec_options.with_options(document_class=SON))
    return x.find_one(), type(x.update_one({}, {"$set": {"z": 1}}).raw_result).__name__


# Counts, distinct, aggregate


@case
def counts(db: Any) -> Any:
    x = filled(db)
    return (
        x.count_documents({}),
        x.count_documents({"a": 1}, skip=1, limit=2),
        x.count_documents({"a": 1}, hint="_id_"),
        x.estimated_document_count(),
        db.nothing.count_documents({}),
        db.nothing.estimated_document_count(),
        x.distinct("a", {"_id": {"$lt": 2}}),
        x.distinct("a"),
    )


@case
def count_bad_filter(db: Any) -> Any:
    db.x.count_documents([])


@case
def aggregate(db: Any) -> Any:
    x = filled(db)
    stages = [{"$match": {"a": {"$lt": 2}}}, {"$sort": {"_id": 1}}]
    with x.aggregate(stages, batchSize=2, allowDiskUse=True) as cursor:
        first = cursor.next(), cursor.try_next()
        return first, list(cursor), cursor.try_next()


@case
def aggregate_out(db: Any) -> Any:
    x = filled(db)
    return list(x.aggregate([{"$match": {"a": 1}}, {"$out": "y"}])), db.y.count_documents({})


@case
def aggregate_merge_with_concerns(db: Any) -> Any:
    x = filled(db).with_options(
        read_concern=ReadConcern("majority"), write_concern=WriteConcern("majority")
    )
    return x.aggregate([{"$merge": "y"}]).to_list(), db.y.estimated_document_count()


@case
def aggregate_fails_when_called(db: Any) -> Any:
    db.x.aggregate([{"$nonsense": 1}])


@case
def aggregate_bad_arguments(db: Any) -> Any:
    calls: list[Case] = [
        lambda db: db.x.aggregate({}),
        lambda db: db.x.aggregate([], explain=True),
        lambda db: db.x.aggregate([], batchSize=-1),
        lambda db: db.x.aggregate([], let=3),
    ]
    return [outcome(call, db) for call in calls]


@case
def aggregate_on_database(db: Any) -> Any:
    return db.aggregate([{"$documents": [{"a": 1}, {"a": 2}]}]).to_list()


@case
def command_cursor_properties(db: Any) -> Any:
    cursor = filled(db).aggregate([], batchSize=5)
    before = cursor.alive, type(cursor.cursor_id).__name__, bool(cursor.address), cursor.session
    cursor.to_list()
    return before, cursor.alive, cursor.cursor_id


@case
def command_cursor_bad_arguments(db: Any) -> Any:
    numbers = (-1, 0, 1, True)
    return [
        (outcome(lambda db, m=m, v=v: getattr(db.x.aggregate([]), m)(v) and None, db), m, v)
        for m, values in (("batch_size", ("text", [], {}, 1.5, *numbers)), ("to_list", numbers))
        for v in values
    ]


@case
def command_cursor_as_an_object(db: Any) -> Any:
    manners: list[Case] = [
        lambda db: bool(db.x.aggregate([])),
        lambda db: len(db.x.aggregate([])),
        lambda db: db.x.aggregate([])[0],
        lambda db: db.x.aggregate_raw_batches([])[0],
        lambda db: db.x.aggregate([]) == db.x.aggregate([]),
        lambda db: pickle.dumps(db.x.aggregate([])),
        lambda db: db.x.aggregate([]).sort("a"),
        lambda db: list(db.x.aggregate([])),
    ]
    return [outcome(manner, db) for manner in manners]


test_same = case.test()
