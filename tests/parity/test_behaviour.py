"""The same calls with ferromongo and with PyMongo on a real server: same results, same errors.

A case is a function of a database. It runs on an empty database once per driver; what it returns,
or the class, code and details of what it raises, must be equal.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

import bson
import pymongo
import pytest
from bson import SON, Code, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel, ReturnDocument, WriteConcern
from pymongo.read_concern import ReadConcern

import ferromongo

Case = Callable[[Any], Any]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


@pytest.mark.parametrize("name", CASES)
def test_same(name: str, mongodb_uri: str, mongodb_database_name: str) -> None:
    outcomes = []
    for package in (pymongo, ferromongo):
        with package.MongoClient(mongodb_uri) as client:
            client.drop_database(mongodb_database_name)
            outcomes.append(_outcome(CASES[name], client[mongodb_database_name]))
    assert outcomes[1] == outcomes[0]


def _outcome(function: Case, database: Any) -> Any:
    try:
        return "returned", _stable(function(database))
    except Exception as error:
        code, details = getattr(error, "code", None), getattr(error, "details", None)
        return type(error), code, _stable(details)


def _stable(value: Any) -> str:
    """The value as text, without what differs from run to run."""
    text = repr(value)
    text = re.sub(r"Timestamp\(\d+, \d+\)", "Timestamp", text)
    text = re.sub(r"'(keyId|t)': \d+", r"'\1': 0", text)
    text = re.sub(r"'hash': b('[^']*'|\"[^\"]*\")", "'hash': b''", text)
    text = re.sub(r"ObjectId\('7[0-9a-f]{23}'\)", "ObjectId()", text)
    return re.sub(r"UUID\('[^']*'\)|Binary\(b.*?, 4\)", "UUID()", text)


def _filled(database: Any, count: int = 20) -> Any:
    database.x.insert_many([{"_id": i, "a": i % 4, "s": f"v{i:02}"} for i in range(count)])
    return database.x


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


# Find


@case
def find_one(db: Any) -> Any:
    x = _filled(db)
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
    _filled(db).find_one({"$nonsense": 1})


@case
def find_one_unknown_argument(db: Any) -> Any:
    db.x.find_one({}, nonsense=1)


@case
def find_chained(db: Any) -> Any:
    x = _filled(db)
    return list(x.find({"a": {"$gt": 0}}, ["s"]).sort("_id", -1).skip(2).limit(9).batch_size(3))


@case
def find_arguments(db: Any) -> Any:
    x = _filled(db)
    return x.find({}, {"a": 0}, 3, 4, sort=[("a", 1), ("_id", -1)], hint="_id_").to_list()


@case
def find_limits(db: Any) -> Any:
    x = _filled(db)
    return [len(x.find().limit(n).batch_size(b).to_list()) for n in (0, 5, -5) for b in (0, 2, 5)]


@case
def find_many_batches(db: Any) -> Any:
    x = _filled(db, 1000)
    cursor = x.find(batch_size=7)
    return [document["_id"] for document in cursor], cursor.alive, cursor.cursor_id


@case
def find_cursor_properties(db: Any) -> Any:
    cursor = _filled(db).find(batch_size=5)
    before = cursor.alive, cursor.cursor_id, cursor.retrieved, cursor.address, cursor.session
    cursor.next()
    during = cursor.alive, bool(cursor.cursor_id), cursor.retrieved, bool(cursor.address)
    kind = type(cursor.cursor_id).__name__
    cursor.close()
    return before, during, kind


@case
def find_to_list_in_parts(db: Any) -> Any:
    cursor = _filled(db).find(batch_size=6)
    return cursor.to_list(4), cursor.to_list(4), len(cursor.to_list()), cursor.to_list()


@case
def find_slices(db: Any) -> Any:
    x = _filled(db)
    return x.find()[4], x.find()[3:6].to_list(), x.find()[5:5].to_list(), x.find().skip(2)[1]


@case
def find_index_outside(db: Any) -> Any:
    db.x.find()[3]


@case
def find_negative_index(db: Any) -> Any:
    db.x.find()[-1]


@case
def find_rewind_and_clone(db: Any) -> Any:
    cursor = _filled(db).find().sort("_id", 1).limit(3)
    return list(cursor), list(cursor), list(cursor.rewind()), list(cursor.clone())


@case
def find_chain_after_start(db: Any) -> Any:
    cursor = _filled(db).find()
    cursor.next()
    cursor.limit(2)


@case
def find_where(db: Any) -> Any:
    return _filled(db).find().where(Code("this._id < 3")).to_list()


@case
def find_collation(db: Any) -> Any:
    db.x.insert_many([{"_id": 1, "s": "A"}, {"_id": 2, "s": "a"}])
    return db.x.find({"s": "a"}, collation={"locale": "en", "strength": 2}).to_list()


@case
def find_min_max(db: Any) -> Any:
    x = _filled(db)
    return x.find().min([("_id", 3)]).max([("_id", 6)]).hint([("_id", 1)]).to_list()


@case
def find_min_without_hint(db: Any) -> Any:
    _filled(db).find().min([("_id", 3)]).to_list()


@case
def find_flags(db: Any) -> Any:
    x = _filled(db)
    cursor = x.find(no_cursor_timeout=True, allow_partial_results=True, show_record_id=True)
    return sorted(cursor.to_list(1)[0]), x.find(return_key=True, hint="_id_").to_list(2)


@case
def find_let_and_comment(db: Any) -> Any:
    filter = {"$expr": {"$eq": ["$_id", "$$wanted"]}}
    return _filled(db).find(filter, let={"wanted": 7}, comment="why").to_list()


@case
def find_max_time(db: Any) -> Any:
    return _filled(db).find(max_time_ms=10000, allow_disk_use=True).to_list(1)


@case
def find_explain(db: Any) -> Any:
    return _filled(db).find({"a": 1}).limit(3).explain()["queryPlanner"]["parsedQuery"]


@case
def find_cursor_distinct(db: Any) -> Any:
    return _filled(db).find({"_id": {"$lt": 3}}).distinct("a")


@case
def find_tailable(db: Any) -> Any:
    db.create_collection("c", capped=True, size=10000)
    db.c.insert_many([{"_id": 1}, {"_id": 2}])
    cursor = db.c.find(cursor_type=pymongo.CursorType.TAILABLE)
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
        found.append(_outcome(lambda db, a=arguments: db.x.find(**a), db))
    return found


@case
def cursor_bad_arguments(db: Any) -> Any:
    methods = ("skip", "limit", "batch_size", "max_time_ms", "min", "max", "sort", "hint")
    return [
        (_outcome(lambda db, m=m, v=v: getattr(db.x.find(), m)(v) and None, db), m, v)
        for m in methods
        for v in ("text", -1, [], 1.5)
    ]


@case
def to_list_of_nothing(db: Any) -> Any:
    db.x.find().to_list(0)


@case
def document_class(db: Any) -> Any:
    x = _filled(db).with_options(codec_options=db.codec_options.with_options(document_class=SON))
    return x.find_one(), type(x.update_one({}, {"$set": {"z": 1}}).raw_result).__name__


# Update and delete


@case
def update_one(db: Any) -> Any:
    x = _filled(db)
    result = x.update_one({"_id": 1}, {"$set": {"a": 9}})
    return result.matched_count, result.modified_count, result.upserted_id, x.find_one(1)


@case
def update_one_upsert(db: Any) -> Any:
    result = db.x.update_one({"_id": 5}, {"$set": {"a": 9}}, upsert=True)
    raw = {k: result.raw_result[k] for k in ("n", "nModified", "upserted", "updatedExisting", "ok")}
    return result.matched_count, result.modified_count, result.upserted_id, raw


@case
def update_one_raw_result(db: Any) -> Any:
    raw = _filled(db).update_one({"_id": 1}, {"$set": {"a": 9}}).raw_result
    return sorted(raw), raw["updatedExisting"]


@case
def update_many_pipeline(db: Any) -> Any:
    x = _filled(db)
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
    _filled(db).update_one({"_id": 1}, {"$set": {"_id": 2}})


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
    return [_outcome(call, db) for call in calls]


@case
def replace_one(db: Any) -> Any:
    x = _filled(db)
    return x.replace_one({"_id": 1}, {"new": 1}).modified_count, x.find_one(1)


@case
def delete(db: Any) -> Any:
    x = _filled(db)
    one = x.delete_one({"a": 1}).deleted_count
    return one, x.delete_many({"a": {"$gt": 1}}).deleted_count, x.count_documents({})


@case
def unacknowledged_writes(db: Any) -> Any:
    x = _filled(db).with_options(write_concern=WriteConcern(w=0))
    update = x.update_one({"_id": 1}, {"$set": {"a": 9}})
    return update, update.acknowledged, x.delete_one({"_id": 1}).acknowledged


@case
def unacknowledged_count(db: Any) -> Any:
    x = _filled(db).with_options(write_concern=WriteConcern(w=0))
    return x.update_one({"_id": 1}, {"$set": {"a": 9}}).matched_count


@case
def unacknowledged_collation(db: Any) -> Any:
    x = db.x.with_options(write_concern=WriteConcern(w=0))
    x.delete_one({}, collation={"locale": "en"})


@case
def find_and_modify(db: Any) -> Any:
    x = _filled(db)
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
    x = _filled(db)
    x.create_index("s", unique=True)
    x.find_one_and_update({"_id": 1}, {"$set": {"s": "v02"}})


@case
def find_and_modify_bad_return_document(db: Any) -> Any:
    db.x.find_one_and_update({}, {"$set": {"a": 1}}, return_document="after")


# Counts, distinct, aggregate


@case
def counts(db: Any) -> Any:
    x = _filled(db)
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
    x = _filled(db)
    stages = [{"$match": {"a": {"$lt": 2}}}, {"$sort": {"_id": 1}}]
    with x.aggregate(stages, batchSize=2, allowDiskUse=True) as cursor:
        first = cursor.next(), cursor.try_next()
        return first, list(cursor), cursor.try_next()


@case
def aggregate_out(db: Any) -> Any:
    x = _filled(db)
    return list(x.aggregate([{"$match": {"a": 1}}, {"$out": "y"}])), db.y.count_documents({})


@case
def aggregate_merge_with_concerns(db: Any) -> Any:
    x = _filled(db).with_options(
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
    return [_outcome(call, db) for call in calls]


@case
def aggregate_on_database(db: Any) -> Any:
    return db.aggregate([{"$documents": [{"a": 1}, {"a": 2}]}]).to_list()


@case
def command_cursor_properties(db: Any) -> Any:
    cursor = _filled(db).aggregate([], batchSize=5)
    before = cursor.alive, type(cursor.cursor_id).__name__, bool(cursor.address), cursor.session
    cursor.to_list()
    return before, cursor.alive, cursor.cursor_id


@case
def command_cursor_bad_arguments(db: Any) -> Any:
    numbers = (-1, 0, 1, True)
    return [
        (_outcome(lambda db, m=m, v=v: getattr(db.x.aggregate([]), m)(v) and None, db), m, v)
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
    return [_outcome(manner, db) for manner in manners]


# Indexes, collections, databases, commands


@case
def indexes(db: Any) -> Any:
    x = _filled(db)
    made = x.create_index([("a", 1), ("s", -1)]), x.create_index("s", unique=True, name="own")
    several = x.create_indexes([IndexModel("z"), IndexModel([("y", "hashed")])])
    info = x.index_information()
    x.drop_index("own")
    x.drop_index([("a", 1), ("s", -1)])
    left = sorted(x.index_information())
    x.drop_indexes()
    return made, several, info, left, [dict(index) for index in x.list_indexes()]


@case
def indexes_of_nothing(db: Any) -> Any:
    return list(db.x.list_indexes()), db.x.index_information(), db.x.drop_indexes()


@case
def index_conflict(db: Any) -> Any:
    x = _filled(db)
    x.create_index("a")
    x.create_index("a", unique=True)


@case
def drop_unknown_index(db: Any) -> Any:
    _filled(db).drop_index("nonsense")


@case
def collections(db: Any) -> Any:
    db.create_collection("capped", capped=True, size=5000.5)
    db.create_collection("plain")
    db.x.insert_one({})
    listed = sorted(c["name"] for c in db.list_collections())
    return listed, sorted(db.list_collection_names()), db.capped.options(), db.nothing.options()


@case
def list_collection_names_filtered(db: Any) -> Any:
    db.create_collection("a", capped=True, size=5000)
    db.create_collection("b")
    capped = db.list_collection_names(filter={"options.capped": True})
    return capped, db.list_collection_names(filter={"name": "b"})


@case
def create_collection_twice(db: Any) -> Any:
    db.create_collection("x")
    db.create_collection("x")


@case
def create_collection_unchecked(db: Any) -> Any:
    db.create_collection("x", capped=True, size=5000)
    db.create_collection("x", check_exists=False)


@case
def drops(db: Any) -> Any:
    db.x.insert_one({})
    db.y.insert_one({})
    first = db.drop_collection("x")["ok"], db.drop_collection(db.x)["code"], db.y.drop()
    return first, db.list_collection_names()


@case
def rename(db: Any) -> Any:
    db.x.insert_one({"_id": 1})
    db.y.insert_one({"_id": 2})
    return db.x.rename("y", dropTarget=True)["ok"], db.y.find().to_list()


@case
def rename_onto_another(db: Any) -> Any:
    db.x.insert_one({})
    db.y.insert_one({})
    db.x.rename("y")


@case
def databases(db: Any) -> Any:
    db.x.insert_one({})
    before = db.name in db.client.list_database_names()
    db.client.drop_database(db)
    return before, db.name in db.client.list_database_names(), db.client.server_info()["version"]


@case
def commands(db: Any) -> Any:
    return (
        db.command("ping")["ok"],
        db.command({"ping": 1}, comment="why")["ok"],
        db.command("nonsense", check=False)["code"],
        db.command("nonsense", allowable_errors=[59])["codeName"],
        type(db.command("ping", codec_options=db.codec_options.with_options(document_class=SON))),
    )


@case
def command_fails(db: Any) -> Any:
    db.command("nonsense")


@case
def validate_collection(db: Any) -> Any:
    return _filled(db) is None, db.validate_collection("x", full=True)["valid"]


@case
def validate_nothing(db: Any) -> Any:
    db.validate_collection("nothing")


@case
def names(db: Any) -> Any:
    calls: list[Case] = [
        lambda db: db[""],
        lambda db: db["a..b"],
        lambda db: db["$a"],
        lambda db: db[".a"],
        lambda db: db["a."],
        lambda db: db["a\0b"],
        lambda db: db[3],
        lambda db: db.client[""],
        lambda db: db.client["a b"],
        lambda db: db.client["a.b"],
        lambda db: db.client[3],
        lambda db: db._private,
        lambda db: db.x._private,
        lambda db: db.client._private,
        lambda db: bool(db),
        lambda db: bool(db.x),
        lambda db: db.x(),
        lambda db: db.x.y(),
        lambda db: iter(db),
        lambda db: next(db.x),
        lambda db: db.x.rename("$y"),
        lambda db: db.x.rename(3),
        # PyMongo lists several hosts in the order of a set.
        lambda db: repr(db.x.y).replace(repr(db.client), "the client"),
        lambda db: db.x.y.full_name,
        lambda db: db["$cmd.aggregate"].name,
        lambda db: (
            db.x == db["x"],
            db.x != db.y,
            hash(db.x) == hash(db["x"]),
            db == db.client[db.name],
        ),
    ]
    return [_outcome(call, db) for call in calls]


# Client properties and sessions


@case
def client_properties(db: Any) -> Any:
    client = db.client
    address = client.address
    return address == client.primary, client.is_primary, client.is_mongos, client.arbiters


@case
def transaction_commit_and_abort(db: Any) -> Any:
    db.create_collection("x")
    with db.client.start_session() as session:
        with session.start_transaction():
            db.x.insert_one({"_id": 1}, session=session)
            seen = db.x.count_documents({}), db.x.count_documents({}, session=session)
        try:
            with session.start_transaction():
                db.x.insert_one({"_id": 2}, session=session)
                raise ArithmeticError
        except ArithmeticError:
            pass
        within = session.in_transaction, session.has_ended
    return seen, within, session.has_ended, db.x.find().to_list()


@case
def transaction_duplicate_key(db: Any) -> Any:
    db.x.insert_one({"_id": 1})
    with db.client.start_session() as session, session.start_transaction():
        db.x.insert_one({"_id": 1}, session=session)


@case
def with_transaction(db: Any) -> Any:
    db.create_collection("x")
    with db.client.start_session() as session:
        result = session.with_transaction(lambda s: db.x.insert_one({"_id": 1}, session=s))
    return result, db.x.find().to_list()


@case
def transaction_cursor(db: Any) -> Any:
    x = _filled(db)
    with db.client.start_session() as session, session.start_transaction():
        return x.find(session=session, batch_size=3).to_list()


@case
def session_bound(db: Any) -> Any:
    db.create_collection("x")
    session = db.client.start_session()
    with session.bind(end_session=False):
        session.start_transaction()
        db.x.insert_one({"_id": 1})
        session.abort_transaction()
    return db.x.find().to_list(), session.has_ended, session.end_session(), session.has_ended


@case
def session_properties(db: Any) -> Any:
    with db.client.start_session(snapshot=False) as session:
        before = session.cluster_time, session.operation_time
        db.x.find_one(session=session)
        after = bool(session.cluster_time), bool(session.operation_time)
        options = session.options.causal_consistency, session.options.snapshot
        return before, after, options, session.client is db.client, sorted(session.session_id)


@case
def session_misuse(db: Any) -> Any:
    start = db.client.start_session
    calls: list[Case] = [
        lambda db: start().commit_transaction(),
        lambda db: start().abort_transaction(),
        lambda db: start(causal_consistency=True, snapshot=True),
        lambda db: start(default_transaction_options=3),
        lambda db: start(snapshot=True).start_transaction(),
        lambda db: start().start_transaction(write_concern=WriteConcern(w=0)),
        lambda db: start().start_transaction(read_concern=3),
        lambda db: start().start_transaction(max_commit_time_ms="1"),
        lambda db: start().advance_cluster_time(3),
        lambda db: start().advance_cluster_time({}),
        lambda db: start().advance_operation_time(3),
        lambda db: db.x.with_options(write_concern=WriteConcern(w=0)).insert_one(
            {}, session=start()
        ),
    ]
    return [_outcome(call, db) for call in calls]


@case
def session_ended(db: Any) -> Any:
    session = db.client.start_session()
    session.end_session()
    session.end_session()
    db.x.find_one(session=session)


@case
def session_two_transactions(db: Any) -> Any:
    session = db.client.start_session()
    session.start_transaction()
    session.start_transaction()


@case
def session_abort_after_commit(db: Any) -> Any:
    session = db.client.start_session()
    session.start_transaction()
    session.commit_transaction()
    session.commit_transaction()
    session.abort_transaction()


@case
def session_commit_after_abort(db: Any) -> Any:
    session = db.client.start_session()
    session.start_transaction()
    session.abort_transaction()
    session.commit_transaction()


@case
def session_of_another_client(db: Any) -> Any:
    with type(db.client)("localhost", connect=False) as other:
        db.x.find_one(session=other.start_session())


@case
def closed_client(db: Any) -> Any:
    db.client.close()
    db.client.close()
    db.x.find_one()
