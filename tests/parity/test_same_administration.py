"""Administration, commands, clients and sessions behave as PyMongo's: see `same.py`."""

from __future__ import annotations

from typing import Any

from bson import SON
from pymongo import IndexModel, WriteConcern
from tests.parity.same import Case, Cases, filled, outcome

case = Cases()


# Indexes, collections, databases, commands


@case
def indexes(db: Any) -> Any:
    x = filled(db)
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
    x = filled(db)
    x.create_index("a")
    x.create_index("a", unique=True)


@case
def drop_unknown_index(db: Any) -> Any:
    filled(db).drop_index("nonsense")


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
    return filled(db) is None, db.validate_collection("x", full=True)["valid"]


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
    return [outcome(call, db) for call in calls]


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
    x = filled(db)
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
    return [outcome(call, db) for call in calls]


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


test_same = case.test()
