"""The engines of PyMongo and Motor stay whole under `ferromongo.install()`."""

from tests.server.install_programs import run

# What can be done with a client, as a function, for programs to define.
OPERATIONS = """
import pymongo
from pymongo import IndexModel, InsertOne, UpdateOne

def operations(client):
    assert client.server_info()["ok"] == 1
    assert client.admin.command("ping")["ok"] == 1
    client.drop_database("before_install")
    database = client.before_install
    things = database.create_collection("things")
    assert database.list_collection_names() == ["things"]
    assert [c["name"] for c in database.list_collections()] == ["things"]
    assert "before_install" in client.list_database_names()
    assert "before_install" in [d["name"] for d in client.list_databases()]
    assert database.get_collection("things").full_name == things.full_name
    assert things.insert_one({"_id": 1, "x": 1}).acknowledged
    assert things.insert_many([{"_id": n, "x": n} for n in range(2, 9)]).inserted_ids
    assert things.find_one({"x": 2}) == {"_id": 2, "x": 2}
    assert len(list(things.find().batch_size(2))) == 8
    assert len(things.find().to_list()) == 8
    assert things.find()[3]["_id"] == 4
    assert len(list(things.find_raw_batches(batch_size=3))) == 3
    assert len(list(things.aggregate([{"$match": {"x": {"$gt": 4}}}]))) == 4
    assert len(list(things.aggregate_raw_batches([]))) == 1
    assert len(list(database.aggregate([{"$documents": [{}, {}]}]))) == 2
    assert things.update_one({"x": 1}, {"$set": {"y": 1}}).modified_count == 1
    assert things.update_many({}, {"$set": {"z": 1}}).modified_count == 8
    assert things.replace_one({"x": 1}, {"x": 1}).modified_count == 1
    assert things.find_one_and_update({"x": 1}, {"$set": {"w": 1}})["x"] == 1
    assert things.find_one_and_replace({"x": 1}, {"x": 1})["w"] == 1
    assert things.find_one_and_delete({"x": 8})["x"] == 8
    assert things.delete_one({"x": 7}).deleted_count == 1
    assert things.delete_many({"x": 6}).deleted_count == 1
    assert things.count_documents({}) == things.estimated_document_count() == 5
    assert sorted(things.distinct("x")) == [1, 2, 3, 4, 5]
    assert things.bulk_write([InsertOne({"_id": 9}), UpdateOne({"_id": 9}, {"$set": {"x": 9}})])
    assert things.create_index("x") == "x_1"
    assert things.create_indexes([IndexModel("y")]) == ["y_1"]
    assert len(list(things.list_indexes())) == len(things.index_information()) == 3
    things.drop_index("y_1")
    things.drop_indexes()
    assert things.options() == {}
    assert things.with_options().find_one({"_id": 9})["x"] == 9
    with client.start_session() as session:
        session.with_transaction(lambda s: things.insert_one({"_id": 10}, session=s))
        with session.start_transaction():
            things.delete_one({"_id": 10}, session=session)
    with things.watch() as stream, database.watch(), client.watch():
        things.insert_one({"_id": 11})
        assert next(stream)["documentKey"] == {"_id": 11}
    cursor = database.cursor_command("find", "things")
    assert len(list(cursor)) == 7
    assert things.find().explain()
    assert things.rename("others")
    assert database.validate_collection("others")
    database.others.drop()
    database.drop_collection("others")
    client.drop_database("before_install")
"""

PROGRAM = (
    OPERATIONS
    + """
import sys
import gridfs, pymongo
from pymongo.collection import Collection

class Client(pymongo.MongoClient):
    pass

class Things(pymongo.collection.Collection):
    def mine(self):
        return super().count_documents({})

uri = sys.argv[1]
made = [pymongo.MongoClient(uri), Client(uri)]
theirs = pymongo.MongoClient, pymongo.collection.Collection, gridfs.GridFSBucket
bucket = theirs[2](made[0].before_install_files)
for client in made:
    operations(client)
"""
)


def test_objects_made_and_classes_derived_before_work(mongodb_uri: str) -> None:
    run(
        PROGRAM
        + """
import ferromongo

ferromongo.install()
assert pymongo.MongoClient is ferromongo.MongoClient
late = [theirs[0](uri), Client(uri)]  # PyMongo's constructors run as well
for client in made + late:
    operations(client)
assert isinstance(made[1], Client) and isinstance(made[1], theirs[0])
things = Things(made[0].before_install, "things")
things.insert_one({})
assert things.mine() == 1
key = bucket.upload_from_stream("a", b"b" * 300_000)
assert len(bucket.open_download_stream(key).read()) == 300_000
assert [file.filename for file in bucket.find()] == ["a"]
with pymongo.MongoClient(uri) as client:
    assert type(client) is ferromongo.MongoClient
    operations(client)
    client.drop_database("before_install_files")
    client.drop_database("before_install")
for client in made + late:
    client.close()
""",
        mongodb_uri,
    )


def test_pymongo_works_before_during_and_after(mongodb_uri: str) -> None:
    run(
        PROGRAM
        + """
import ferromongo

for _ in range(2):
    ferromongo.install()
    for client in made:
        operations(client)
    ferromongo.uninstall()
    assert theirs == (pymongo.MongoClient, Collection, gridfs.GridFSBucket)
    with pymongo.MongoClient(uri) as client:
        assert type(client) is theirs[0]
        operations(client)
        bucket = gridfs.GridFSBucket(client.before_install_files)
        key = bucket.upload_from_stream("a", b"b")
        assert bucket.open_download_stream(key).read() == b"b"
        client.drop_database("before_install_files")
for client in made:
    client.close()
""",
        mongodb_uri,
    )


ASYNC_OPERATIONS = """
import asyncio, sys

async def operations(client):
    await client.drop_database("before_install")
    things = client.before_install.things
    await things.insert_many([{"_id": n} for n in range(5)])
    assert await things.find_one({"_id": 2}) == {"_id": 2}
    assert len([thing async for thing in things.find().batch_size(2)]) == 5
    assert len(await things.find().to_list(None)) == 5
    assert await things.count_documents({}) == 5
    assert await client.before_install.list_collection_names() == ["things"]
    assert (await things.update_many({}, {"$set": {"x": 1}})).modified_count == 5
    await client.drop_database("before_install")
"""

MOTOR = """
async def with_motor():
    client = motor.motor_asyncio.AsyncIOMotorClient(sys.argv[1])
    await all_of(client, motor.motor_asyncio.AsyncIOMotorGridFSBucket(client.before_install))
    client.close()

async def all_of(client, bucket):
    assert isinstance(client.before_install.things, motor.core.AgnosticCollection) or made_before
    await operations(client)
    things = client.before_install.things
    await things.insert_one({"_id": 1})
    assert [thing async for thing in things.aggregate([])] == [{"_id": 1}]
    cursor = things.find()
    assert await cursor.fetch_next and cursor.next_object() == {"_id": 1}
    async with await client.start_session() as session:
        async with session.start_transaction():
            await things.insert_one({"_id": 2}, session=session)
    async with things.watch() as stream:
        await things.insert_one({"_id": 3})
        assert (await stream.next())["documentKey"] == {"_id": 3}
    key = await bucket.upload_from_stream("a", b"text")
    stream = await bucket.open_download_stream(key)
    assert await stream.read() == b"text"
    assert [file.filename async for file in bucket.find()] == ["a"]
    await client.drop_database("before_install")

def package_of_motor():
    return motor.motor_asyncio.AsyncIOMotorClient.__module__.partition(".")[0]

made_before = False
"""


def test_asynchronous_objects_made_before_work(mongodb_uri: str) -> None:
    run(
        ASYNC_OPERATIONS
        + """
import pymongo, ferromongo

async def main():
    before = pymongo.AsyncMongoClient(sys.argv[1])
    await operations(before)
    ferromongo.install()
    after = pymongo.AsyncMongoClient(sys.argv[1])
    assert type(after) is ferromongo.AsyncMongoClient is not type(before)
    await operations(before)
    await operations(after)
    ferromongo.uninstall()
    await operations(before)
    await after.close()
    await before.close()

asyncio.run(main())
""",
        mongodb_uri,
    )


def test_motor_imported_after_install_works(mongodb_uri: str) -> None:
    run(
        ASYNC_OPERATIONS
        + MOTOR
        + """
import ferromongo

ferromongo.install()
import motor.core, motor.motor_asyncio

asyncio.run(with_motor())
assert package_of_motor() == "ferromongo"
ferromongo.uninstall()
asyncio.run(with_motor())
assert package_of_motor() == "motor"
""",
        mongodb_uri,
        warnings="ignore",  # some of the packages that Motor imports warn
    )


def test_motor_imported_before_install_works(mongodb_uri: str) -> None:
    run(
        ASYNC_OPERATIONS
        + MOTOR
        + """
import motor.core, motor.motor_asyncio, motor.motor_tornado
import ferromongo, pymongo

async def across():
    global made_before
    client = motor.motor_asyncio.AsyncIOMotorClient(sys.argv[1])
    bucket = motor.motor_asyncio.AsyncIOMotorGridFSBucket(client.before_install)
    ferromongo.install()
    made_before = True
    await all_of(client, bucket)
    client.close()

asyncio.run(with_motor())
asyncio.run(across())
made_before = False
asyncio.run(with_motor())
assert package_of_motor() == "ferromongo"
assert motor.motor_tornado.MotorClient.__module__.startswith("ferromongo.")
with pymongo.MongoClient(sys.argv[1]) as client:
    assert type(client) is ferromongo.MongoClient
""",
        mongodb_uri,
        warnings="ignore",
    )


def test_a_fork_prints_nothing_and_the_child_does_not_hang(mongodb_uri: str) -> None:
    run(
        """
        import os, sys
        import pymongo

        before = pymongo.MongoClient(sys.argv[1])
        before.admin.command("ping")
        import ferromongo

        ferromongo.install()
        after = pymongo.MongoClient(sys.argv[1])
        after.admin.command("ping")
        for _ in range(3):
            child = os.fork()
            if not child:
                after.admin.command("ping")
                with pymongo.MongoClient(sys.argv[1]) as own:
                    own.admin.command("ping")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        before.admin.command("ping")
        # Using PyMongo's own client in a child is what PyMongo warns of, but it works here.
        child = os.fork()
        if not child:
            import warnings

            warnings.simplefilter("ignore")
            before.admin.command("ping")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        before.close()
        after.close()
        """,
        mongodb_uri,
    )


def test_multiprocessing(mongodb_uri: str, tmp_path) -> None:
    (tmp_path / "worker.py").write_text(
        """
import ferromongo, sys

ferromongo.install()
import pymongo

def count(uri):
    with pymongo.MongoClient(uri) as client:
        assert type(client) is ferromongo.MongoClient
        return client.admin.command("ping")["ok"]
"""
    )
    run(
        """
        import multiprocessing, sys
        import pymongo

        if __name__ == "__main__":
            before = pymongo.MongoClient(sys.argv[1])
            before.admin.command("ping")
            from worker import count

            for how in ("fork", "spawn", "forkserver"):
                with multiprocessing.get_context(how).Pool(2) as pool:
                    assert pool.map(count, [sys.argv[1]] * 4) == [1.0] * 4
            before.close()
        """,
        mongodb_uri,
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
