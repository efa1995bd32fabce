"""The cases of `user_codec_cases.py` about collections, indexes, commands and transactions."""

from __future__ import annotations

from typing import Any

from pymongo import InsertOne
from tests.parity.user_codec_cases import WHEN, all_of, case, each, results, slow_case
from tests.parity.user_codecs import outcome


@slow_case
async def refused_by_a_schema(db: Any, x: Any) -> Any:
    """The reply quotes the user's values."""
    await db.create_collection("schema", validator={"$jsonSchema": {"required": ["z"]}})
    return await results(
        lambda: db.schema.insert_one({"_id": 1, "d": WHEN, "s": "text"}),
        lambda: db.schema.insert_many([{"_id": 1, "d": WHEN, "s": "text"}]),
        lambda: db.schema.bulk_write([InsertOne({"_id": 1, "d": WHEN, "s": "text"})]),
    )


@slow_case
async def aggregate_into_a_collection(db: Any, x: Any) -> Any:
    return [
        await all_of(lambda: x.aggregate([{"$match": {}}, {"$out": "out"}])),
        await all_of(lambda: x.aggregate([{"$merge": "out"}])),
        await outcome(lambda: x.aggregate([{"$foo": 1}, {"$out": "out"}])),
    ]


@slow_case
async def indexes(db: Any, x: Any) -> Any:
    return [
        *await each(
            lambda: x.create_index([("i", 1), ("s", -1)], name="made"),
            lambda: x.create_index("f"),
            lambda: x.create_index("i", name="f_1"),
            lambda: x.index_information(),
        ),
        await all_of(lambda: x.list_indexes()),
        *await each(*[lambda: x.drop_index("made")] * 2, lambda: x.drop_indexes()),
        await all_of(lambda: db.missing.list_indexes()),
        await outcome(lambda: db.missing.drop_index("made")),
    ]


@slow_case
async def collections(db: Any, x: Any) -> Any:
    capped = {"capped": True, "size": 4096}
    made = await outcome(lambda: db.create_collection("made", **capped))
    return [
        made[0],
        await outcome(lambda: db.create_collection("made")),
        await outcome(lambda: db.create_collection("bad", validator={"$foo": 1})),
        await all_of(lambda: db.list_collections(filter={"name": "made"})),
        *await each(lambda: db.made.options(), lambda: db.missing.options()),
        sorted(await db.list_collection_names()),
        *await each(lambda: db.made.rename("renamed"), lambda: db.made.rename("again")),
        *await each(
            lambda: db.validate_collection("renamed"),
            lambda: db.validate_collection("missing"),
        ),
        *await each(*[lambda: db.drop_collection("renamed")] * 2, lambda: x.drop()),
    ]


@case
async def commands(db: Any, x: Any) -> Any:
    options = x.codec_options
    return await each(
        lambda: db.command("ping"),
        lambda: db.command("ping", codec_options=options),
        lambda: db.command("nonsense"),
        lambda: db.command("nonsense", codec_options=options),
        lambda: db.command("find", "x", codec_options=options),
        lambda: db.command("distinct", "x", key="i", codec_options=options),
        lambda: db.command({"count": "x"}, codec_options=options),
        lambda: db.command("insert", "x", documents=[{"_id": 1}], codec_options=options),
        lambda: db.command("nonsense", check=False, codec_options=options),
    )


@case
async def cursor_commands(db: Any, x: Any) -> Any:
    options = x.codec_options
    return [
        await all_of(lambda: db.cursor_command("find", "x")),
        await all_of(lambda: db.cursor_command("find", "x", codec_options=options)),
        await outcome(lambda: db.cursor_command("nonsense", codec_options=options)),
        await outcome(lambda: db.cursor_command("ping", codec_options=options)),
    ]


@case
async def databases(db: Any, x: Any) -> Any:
    client = db.client
    names = await client.list_database_names()
    described = await all_of(lambda: client.list_databases(filter={"name": "admin"}, nameOnly=True))
    return db.name in names, described, type(await client.server_info())


@case
async def transactions(db: Any, x: Any) -> Any:
    async with db.client.start_session() as session:
        async with await session.start_transaction():
            inside = await results(
                lambda: x.insert_one({"_id": 50}, session=session),
                lambda: x.update_one({"_id": 50}, {"$set": {"a": 1}}, session=session),
            )
            found = await outcome(
                lambda: x.find_one({"_id": 50}, projection=["a"], session=session)
            )
        await session.start_transaction()
        failed = await results(lambda: x.insert_one({"_id": 1}, session=session))
        later = await outcome(lambda: x.find_one({}, session=session))
        await session.abort_transaction()
        times = type(session.operation_time), type(session.cluster_time["clusterTime"])
    return inside, found, failed, later, times
