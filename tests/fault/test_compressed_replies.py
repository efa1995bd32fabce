"""Compressed replies that are cut off, lie or are malformed: PyMongo's exceptions, and no hang."""

import struct
import zlib

import bson
import pytest
from pymongo.errors import AutoReconnect, ProtocolError
from tests.drivers import both_drivers, eventually, ferromongo_only, takes
from tests.fault.peer import Peer
from tests.fault.proxy import OP_COMPRESSED, OP_MSG

SNAPPY, ZLIB, ZSTD = 1, 2, 3


@pytest.mark.parametrize("after", [0, 10, 20, 25, 40], ids=lambda after: f"after {after}")
@both_drivers
async def test_a_cut_in_the_envelope_is_retried(driver, after, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(compressors="zlib")) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": 1, "n": 0, "x": "y" * 100})
        proxy.cut("find", after=after)
        with takes(0, 5):
            assert (await collection.find_one({"_id": 1}))["x"] == "y" * 100
        proxy.cut("update", after=after)
        with takes(0, 5):
            await collection.update_one({"_id": 1}, {"$inc": {"n": 1}})
        assert (await collection.find_one({"_id": 1}))["n"] == 1
    assert proxy.seen["update"] == 2
    assert all("find" in line.compressed for line in proxy.links_of("find"))


@both_drivers
async def test_a_get_more_that_was_cut_is_not_retried(driver, proxy, mongodb_database_name):
    async with driver.client(proxy.uri(compressors="zlib")) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(10)])
        proxy.cut("getMore", after=30)
        with pytest.raises(AutoReconnect):
            await collection.find().batch_size(4).to_list()
        assert await collection.count_documents({}) == 10


OK = bson.encode({"ok": 1.0, "text": "tea" * 100})
PLAIN = b"\0" * 5 + OK
ZIPPED = zlib.compress(PLAIN)


@pytest.mark.parametrize(
    ("opcode", "size", "compressor", "data"),
    [
        (OP_MSG, len(PLAIN), ZLIB, ZIPPED[:-10]),
        (OP_MSG, len(PLAIN), ZLIB, ZIPPED + b"more"),
        (OP_MSG, 48_000_000, ZLIB, ZIPPED),
        (OP_MSG, 0, ZLIB, ZIPPED),
        (OP_MSG, -1, ZLIB, ZIPPED),
        (1, len(PLAIN), ZLIB, ZIPPED),
        (OP_COMPRESSED, len(PLAIN), ZLIB, ZIPPED),
        pytest.param(OP_MSG, len(PLAIN), ZLIB, b"garbage" * 50, marks=ferromongo_only),
        pytest.param(OP_MSG, len(PLAIN) - 1, ZLIB, ZIPPED, marks=ferromongo_only),
        pytest.param(OP_MSG, len(PLAIN) + 1, ZLIB, ZIPPED, marks=ferromongo_only),
        pytest.param(OP_MSG, len(PLAIN), SNAPPY, PLAIN, marks=ferromongo_only),
        pytest.param(OP_MSG, len(PLAIN), 0, PLAIN, marks=ferromongo_only),
        pytest.param(OP_MSG, len(PLAIN), 77, PLAIN, marks=ferromongo_only),
    ],
    ids=lambda value: f"{value[:3]}({len(value)})" if isinstance(value, bytes) else str(value),
)
@both_drivers
async def test_a_reply_without_sense(driver, opcode, size, compressor, data):
    envelope = struct.pack("<iiB", opcode, size, compressor) + data
    await refused(driver, envelope)


@both_drivers
async def test_an_envelope_around_nothing(driver):
    await refused(driver, struct.pack("<iiB", OP_MSG, len(PLAIN), ZLIB))


@both_drivers
async def test_a_reply_may_come_uncompressed(driver):
    with Peer(compression=["zlib"]) as peer:
        async with driver.client(peer.uri(compressors="zlib")) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
    assert [request.opcode for request in peer.of("ping")] == [OP_COMPRESSED]


@ferromongo_only
@both_drivers
async def test_a_server_that_compresses_nothing_is_asked_plainly(driver):
    with Peer() as peer:
        async with driver.client(peer.uri(compressors="zlib")) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
    assert [request.opcode for request in peer.of("ping")] == [OP_MSG]
    envelope = struct.pack("<iiB", OP_MSG, len(PLAIN), ZLIB) + ZIPPED
    await refused(driver, envelope, compression=None)


async def refused(driver, envelope, compression=("zlib",)):
    """Every answer is an error at once, and the connection is closed each time."""
    with Peer(compression=compression) as peer:
        peer.on("ping", lambda request: request.message(envelope, opcode=OP_COMPRESSED))
        async with driver.client(peer.uri(compressors="zlib")) as client:
            for asked in (1, 2):
                with takes(0, 5), pytest.raises(ProtocolError):
                    await client.admin.command("ping")
                assert len(peer.lines_used) == asked
                await eventually(driver, lambda: not any(line.open for line in peer.lines_used))
