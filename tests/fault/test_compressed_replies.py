"""Compressed replies that break off, lie or make no sense: PyMongo's exceptions, and no hang."""

import contextlib
import socket
import struct
import threading
import zlib

import bson
import pytest
from pymongo.errors import AutoReconnect, ProtocolError
from tests.drivers import both_drivers, eventually, ferromongo_only, takes
from tests.fault.proxy import OP_COMPRESSED, OP_MSG

SNAPPY, ZLIB, ZSTD = 1, 2, 3
HELLO = {"isWritablePrimary": True, "helloOk": True, "ok": 1, "minWireVersion": 0,
         "maxWireVersion": 17, "maxBsonObjectSize": 16_777_216,
         "maxMessageSizeBytes": 48_000_000, "compression": ["zlib"]}  # fmt: skip


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
    await refused(driver, OP_COMPRESSED, envelope)


@both_drivers
async def test_an_envelope_around_nothing(driver):
    await refused(driver, OP_COMPRESSED, struct.pack("<iiB", OP_MSG, len(PLAIN), ZLIB))


@both_drivers
async def test_a_reply_may_come_uncompressed(driver):
    with Peer(OP_MSG, PLAIN) as peer:
        async with driver.client(peer.uri) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
    assert peer.opcodes == [OP_COMPRESSED]


@ferromongo_only
@both_drivers
async def test_a_server_that_compresses_nothing_is_asked_plainly(driver):
    hello = {name: value for name, value in HELLO.items() if name != "compression"}
    with Peer(OP_MSG, PLAIN, hello) as peer:
        async with driver.client(peer.uri) as client:
            assert (await client.admin.command("ping"))["ok"] == 1
    assert peer.opcodes == [OP_MSG]
    envelope = struct.pack("<iiB", OP_MSG, len(PLAIN), ZLIB) + ZIPPED
    await refused(driver, OP_COMPRESSED, envelope, hello)


async def refused(driver, opcode, answer, hello=HELLO):
    """Every answer is an error at once, and the connection is closed each time."""
    with Peer(opcode, answer, hello) as peer:
        async with driver.client(peer.uri) as client:
            for closed in (1, 2):
                with takes(0, 5), pytest.raises(ProtocolError):
                    await client.admin.command("ping")
                await eventually(driver, lambda: peer.closed_after_answer >= closed)  # noqa: B023


class Peer:
    """A server that says hello, and answers all else with the same bytes."""

    def __init__(self, opcode, answer, hello=HELLO):
        self._answer = opcode, answer
        self._hello = OP_MSG, b"\0" * 5 + bson.encode(hello)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets = []
        self.opcodes = []  # of what it was asked
        self.closed_after_answer = 0
        port = self._listener.getsockname()[1]
        self.uri = f"mongodb://127.0.0.1:{port}/?directConnection=true&compressors=zlib"

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._sockets.append(connection)
                thread = threading.Thread(target=self._serve, args=[connection])
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection):
        answered = False
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while len(header := stream.read(16)) == 16:
                length, request, _, opcode = struct.unpack("<4i", header)
                body = stream.read(length - 16)
                if any(name in body[:200] for name in (b"ismaster\0", b"isMaster\0", b"hello\0")):
                    reply_opcode, data = self._hello
                    if opcode != OP_MSG:  # PyMongo's first hello asks in the old way
                        reply_opcode, data = 1, struct.pack("<iqii", 8, 0, 0, 1) + data[5:]
                else:
                    answered = True
                    self.opcodes.append(opcode)
                    reply_opcode, data = self._answer
                connection.sendall(struct.pack("<4i", 16 + len(data), 1, request, reply_opcode))
                connection.sendall(data)
        self.closed_after_answer += answered
