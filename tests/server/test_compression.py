"""Compression agreed with a real server: all works as without, and it is really compressed."""

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.errors import BulkWriteError, DuplicateKeyError
from tests.drivers import both_drivers, eventually, ferromongo_only
from tests.fault.proxy import Proxy

# PyMongo would need further packages for the other two.
OTHERS = [pytest.param(name, marks=ferromongo_only) for name in ("snappy", "zstd")]
COMPRESSORS = pytest.mark.parametrize("compressor", ["zlib", *OTHERS])
SMALL = [{"_id": n, "text": f"document number {n}"} for n in range(1000)]
LARGE = {"_id": "large", "text": "all work and no play " * 500_000}


@pytest.fixture
def proxy(mongodb_replica_set):
    with Proxy(mongodb_replica_set.primary.address) as proxy:
        yield proxy


@pytest.fixture
def plain(mongodb_uri, mongodb_database_name):
    """The same database through PyMongo without compression."""
    with MongoClient(mongodb_uri) as client:
        yield client[mongodb_database_name]


@COMPRESSORS
@both_drivers
async def test_what_goes_in_comes_out(driver, compressor, mongodb_uri, plain):
    async with driver.client(mongodb_uri, compressors=compressor) as client:
        collection = client[plain.name].c
        await collection.insert_many(SMALL)
        await collection.insert_one(LARGE)
        assert list(plain.c.find().sort("_id")) == [*SMALL, LARGE]
        assert await collection.find_one({"_id": "large"}) == LARGE
        assert await collection.find({"_id": {"$ne": "large"}}).sort("_id").to_list() == SMALL
        numbers = [n async for n in collection.find({"_id": {"$lt": 500}}).batch_size(7)]
        assert numbers == SMALL[:500]
        grouped = await collection.aggregate([{"$group": {"_id": None, "n": {"$sum": 1}}}])
        assert await grouped.to_list() == [{"_id": None, "n": 1001}]
        with pytest.raises(DuplicateKeyError):
            await collection.insert_one({"_id": 1})
        with pytest.raises(BulkWriteError):
            await collection.insert_many(SMALL[:10])


@COMPRESSORS
@both_drivers
async def test_transactions(driver, compressor, mongodb_uri, plain):
    plain.c.insert_one({"_id": 0})
    async with driver.client(mongodb_uri, compressors=compressor) as client:
        collection = client[plain.name].c
        async with client.start_session() as session:
            await session.start_transaction()
            await collection.insert_many([{"_id": 1}, {"_id": 2}], session=session)
            assert plain.c.count_documents({}) == 1
            await session.commit_transaction()
            await session.start_transaction()
            await collection.delete_many({}, session=session)
            await session.abort_transaction()
        assert await collection.count_documents({}) == 3


@COMPRESSORS
@both_drivers
async def test_unacknowledged_writes(driver, compressor, mongodb_uri, plain):
    async with driver.client(mongodb_uri, compressors=compressor) as client:
        database = client[plain.name]
        collection = database.get_collection("c", write_concern=WriteConcern(w=0))
        await collection.insert_one({"_id": -1})
        await collection.insert_many(SMALL)
        await eventually(driver, lambda: plain.c.count_documents({}) == 1001)


@COMPRESSORS
@both_drivers
async def test_the_server_counts_compressed_bytes(driver, compressor, mongodb_uri, plain):
    def counted():
        network = plain.command("serverStatus")["network"]["compression"][compressor]
        return network["decompressor"]["bytesOut"], network["compressor"]["bytesIn"]

    size = len(LARGE["text"])
    async with driver.client(mongodb_uri, compressors=compressor) as client:
        collection = client[plain.name].c
        requests, replies = counted()
        await collection.insert_one(LARGE)
        assert counted()[0] - requests > size
        await collection.find_one({"_id": "large"})
        assert counted()[1] - replies > size


@both_drivers
async def test_all_but_greetings_and_secrets_is_compressed(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(compressors="zlib")) as client:
        database = client[mongodb_database_name]
        await database.c.insert_one({"_id": 1})
        assert await database.c.find_one() == {"_id": 1}
        await database.command("isMaster")
        await database.command("hello")
        await database.command("createUser", "u", pwd="p", roles=[])
        await database.command("updateUser", "u", pwd="q")
        await database.command("dropUser", "u")
    lines = proxy.links_of("insert")
    sent = {command for line in lines for command in line.commands}
    compressed = {command for line in lines for command in line.compressed}
    assert compressed >= {"insert", "find", "dropUser"}
    assert sent - compressed >= {"ismaster", "isMaster", "hello", "createUser", "updateUser"}
    assert not compressed & {"ismaster", "isMaster", "hello", "createUser", "updateUser"}


@ferromongo_only
@both_drivers
async def test_the_client_s_first_choice_is_taken(driver, proxy):
    async with driver.client(proxy.uri(compressors="zlib,snappy,zstd")) as client:
        await client.admin.command("ping")
    (line,) = proxy.links_of("ping")  # so it was zlib, which the proxy can read
    assert "ping" in line.compressed


@both_drivers
async def test_a_level_of_zero_stores(driver, proxy, plain):
    sizes = []
    for level in (0, 9):
        uri = proxy.uri(compressors="zlib", zlibCompressionLevel=level)
        counters = plain.command("serverStatus")["network"]["compression"]["zlib"]["decompressor"]
        async with driver.client(uri) as client:
            await client[plain.name].c.insert_one({"text": "a" * 100_000})
        after = plain.command("serverStatus")["network"]["compression"]["zlib"]["decompressor"]
        sizes.append(after["bytesIn"] - counters["bytesIn"])
    assert sizes[0] > 100_000 > 10_000 > sizes[1]
