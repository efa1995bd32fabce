"""Type decoders are applied to the values of the user's documents only, so one that
raises breaks no command whose documents have no such value, and hides no error."""

import datetime

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteError
from tests.drivers import both_drivers
from tests.fault.peer import Peer

import ferromongo.bson as ferromongo_bson

# Not lists: what `distinct` returns is one, and as with PyMongo their decoder gets it.
KINDS = (int, Int64, float, str, bool, datetime.datetime, bytes)


def refuser(kind):
    class Refuser(TypeDecoder):
        bson_type = kind

        def transform_bson(self, value):
            raise LookupError(f"not a value of the user's: {value!r}")

    return Refuser()


REFUSING = CodecOptions(type_registry=TypeRegistry([refuser(kind) for kind in KINDS]))
# The documents have other values only.
A, B, C, D = (Decimal128(str(n)) for n in range(4))


def refusing(client, name):
    return client.get_database(name, codec_options=REFUSING)


@both_drivers
async def test_type_decoders_are_not_applied_to_server_fields(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri) as client:
        db = refusing(client, mongodb_database_name)
        x = db.x
        assert (await x.insert_one({"_id": A})).inserted_id == A
        assert (await x.insert_many([{"_id": B}, {"_id": C}])).inserted_ids == [B, C]
        updated = await x.update_many({}, {"$set": {"v": A}})
        assert (updated.matched_count, updated.modified_count) == (3, 3)
        upserted = await x.update_one({"_id": ObjectId()}, {"$set": {"v": B}}, upsert=True)
        assert type(upserted.upserted_id) is ObjectId
        written = await x.bulk_write(
            [InsertOne({"v": D}), UpdateOne({"v": D}, {"$set": {"w": D}}), DeleteOne({"w": D})]
        )
        assert written.bulk_api_result["nModified"] == written.deleted_count == 1
        assert await x.count_documents({}) == await x.estimated_document_count() == 4
        assert await x.distinct("v") == [A, B]
        assert (await x.find_one_and_update({"_id": B}, {"$set": {"v": C}}))["v"] == A
        assert await x.find_one_and_delete({"_id": ObjectId()}) is None
        assert await x.find_one({"_id": A}, {"v": 1}) == {"_id": A, "v": A}
        cursor = x.find({}, {"v": 1}, batch_size=1)
        assert len(await cursor.to_list()) == 4
        assert (cursor.cursor_id, cursor.retrieved) == (0, 4)
        assert (await x.find().explain())["queryPlanner"]["namespace"] == f"{db.name}.x"
        found = await x.aggregate([{"$project": {"v": 1}}], batchSize=1)
        assert len(await found.to_list()) == 4
        await (await x.aggregate([{"$out": "y"}])).to_list()
        assert await x.create_index("v", name="v") == "v"
        assert set(await x.index_information()) == {"_id_", "v"}
        await x.drop_index("v")
        await db.create_collection("capped", capped=True, size=4096)
        assert await db.capped.options() == {"capped": True, "size": 4096}
        assert sorted(await db.list_collection_names()) == ["capped", "x", "y"]
        assert (await db.validate_collection("x"))["valid"]
        assert (await db.command("count", "x", codec_options=REFUSING))["n"] == 4
        assert (await x.delete_many({})).deleted_count == 4
        await db.capped.rename("renamed")
        await db.renamed.drop()


@both_drivers
async def test_errors_are_raised_although_type_decoders_refuse(
    driver, mongodb_uri, mongodb_database_name
):
    async with driver.client(mongodb_uri) as client:
        db = refusing(client, mongodb_database_name)
        x = db.x
        await x.insert_one({"_id": A})
        with pytest.raises(DuplicateKeyError, match="E11000") as failure:
            await x.insert_one({"_id": A})
        assert failure.value.details["keyPattern"] == {"_id": 1}
        with pytest.raises(BulkWriteError) as failure:
            await x.insert_many([{"_id": A}, {"_id": B}], ordered=False)
        assert failure.value.details["nInserted"] == 1
        assert failure.value.details["writeErrors"][0]["index"] == 0
        with pytest.raises(BulkWriteError) as failure:
            await x.bulk_write([InsertOne({"_id": C}), InsertOne({"_id": A})])
        assert failure.value.details["writeErrors"][0]["code"] == 11000
        with pytest.raises(WriteError, match="immutable"):
            await x.update_one({"_id": A}, {"$set": {"_id": B}})
        for call in (
            lambda: x.find_one({"$foo": A}),
            lambda: x.find_one_and_update({"_id": A}, {"$foo": {"v": A}}),
            lambda: x.distinct("v", {"$foo": A}),
            lambda: x.count_documents({"$foo": A}),
            lambda: x.drop_index("missing"),
            lambda: x.create_index("v", unknown=1),
            lambda: db.command("nonsense", codec_options=REFUSING),
        ):
            with pytest.raises(OperationFailure) as failure:
                await call()
            assert type(failure.value.code) is int
            assert type(failure.value.details["errmsg"]) is str


@both_drivers
async def test_a_change_stream_skips_an_event_that_a_type_decoder_refuses(
    driver, mongodb_uri, mongodb_database_name
):
    options = CodecOptions(type_registry=TypeRegistry([refuser(float)]))
    async with driver.client(mongodb_uri) as client:
        x = client[mongodb_database_name].get_collection("x", codec_options=options)
        async with await x.watch() as stream:
            await x.insert_many([{"_id": 1}, {"_id": 2, "v": 2.5}, {"_id": 3}])
            assert (await stream.next())["documentKey"] == {"_id": 1}
            with pytest.raises(bson.errors.InvalidBSON, match=r"2\.5"):
                await stream.next()
            assert (await stream.next())["documentKey"] == {"_id": 3}


class Awkward(dict):
    def __setitem__(self, key, value):
        raise LookupError(f"{key} is not wanted")


@both_drivers
@pytest.mark.parametrize(
    "options",
    [CodecOptions(), CodecOptions(document_class=Awkward), REFUSING],
    ids=["strict", "document class", "decoders"],
)
async def test_a_server_error_is_raised_with_any_codec_options(driver, options):
    encoded = bson.encode({"ok": 0.0, "code": 2, "errmsg": "b?d"})
    with Peer() as peer:
        answer = RawBSONDocument(encoded.replace(b"b?d", b"b\xffd"))
        for name in ("find", "findAndModify", "aggregate", "dropIndexes", "ping"):
            peer.on(name, answer)
        async with driver.client(peer.uri(), retryReads=False) as client:
            db = client.get_database("d", codec_options=options)
            for call in (
                lambda: db.x.find_one(),
                lambda: db.x.find().to_list(),
                lambda: db.x.find_one_and_delete({}),
                lambda: db.x.aggregate([]),
                lambda: db.x.drop_index("a"),
                lambda: db.command("ping", codec_options=options),
            ):
                with pytest.raises(OperationFailure) as failure:
                    await call()
                assert failure.value.code == 2
                assert failure.value.details["errmsg"] == "b\ufffdd"


@both_drivers
async def test_dates_out_of_range_hide_no_error(driver, mongodb_uri, mongodb_database_name):
    far = DatetimeMS(10**17)
    milliseconds = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
    async with driver.client(mongodb_uri) as client:
        x = client[mongodb_database_name].get_collection("x", codec_options=milliseconds)
        await x.create_index("at", unique=True)
        await x.insert_one({"_id": 1, "at": far})
        with pytest.raises(DuplicateKeyError):
            await x.insert_one({"_id": 2, "at": far})
        with pytest.raises(DuplicateKeyError):
            await x.find_one_and_update({"_id": 2}, {"$set": {"at": far}}, upsert=True)


def test_options_that_keep_their_type_registry_are_read_once():
    class Doubled(TypeDecoder):
        bson_type = int

        def transform_bson(self, value):
            return 2 * value

    class Stubborn(CodecOptions):
        def with_options(self, **options):
            return self

    options = Stubborn(type_registry=TypeRegistry([Doubled()]))
    assert ferromongo_bson.decode(bson.encode({"n": 1}), options) == {"n": 2}
