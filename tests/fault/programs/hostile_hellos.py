"""Meet a peer whose reply to hello is small and costs much; print by how many MB the process grew.

Arguments: sync or async, who hears it (operations or monitors), and which reply.
"""

import contextlib
import json
import resource
import struct
import sys
import time

import bson
from pymongo.errors import PyMongoError
from tests.drivers import AsyncDriver, SyncDriver, patient
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set

MB = 1 << 20
CREDENTIALS = {"username": "user", "password": "secret", "authMechanism": "SCRAM-SHA-256"}


def main(kind, hearers, hello):
    resource.setrlimit(resource.RLIMIT_AS, (3000 * MB, 3000 * MB))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    driver = {"sync": SyncDriver, "async": AsyncDriver}[kind]()
    driver.run(meet(driver, "honest", hearers))  # what is needed once
    before = most()
    answered = driver.run(meet(driver, hello, hearers))
    print(json.dumps({"grown": (most() - before) / 1024, "answered": answered}))


def most():
    """The largest resident size in kB; ru_maxrss would count the parent's too."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


async def meet(driver, hello, hearers):
    answered = 0

    def answer(request):
        nonlocal answered
        for_operations = "speculativeAuthenticate" in request.document
        if for_operations != (hearers == "operations"):
            return request.ordinary()
        answered += 1
        return HELLOS.get(hello, lambda request: request.ordinary())(request)

    with Peer(replica_set) as peer:
        peer.on("hello", answer)
        uri = peer.uri(serverSelectionTimeoutMS=2000, heartbeatFrequencyMS=500)
        async with driver.client(uri, **CREDENTIALS) as client:
            # A monitor asks again after it has read the first reply, which may take long, and uses
            # it in the background. An operation ends when its connection has read the reply.
            least, seconds = (2, patient(3)) if hearers == "monitors" else (1, 0)
            end = time.monotonic() + seconds
            operations = 0  # since the reply was sent often enough
            while (now := time.monotonic()) < end or operations < 3:
                operations += answered >= least or now > end + 60
                with contextlib.suppress(PyMongoError):
                    await client.db.c.find_one()
                await driver.sleep(0.1)
    return answered


def with_elements(elements):
    """The ordinary reply and raw bytes behind it."""

    def answer(request):
        document = bson.encode(request.ordinary())[4:-1] + elements + b"\0"
        return request.message(b"\0" * 5 + struct.pack("<i", 4 + len(document)) + document)

    return answer


def nested(depth, kind=b"\x03"):
    inner = b"\5\0\0\0\0"
    for _ in range(depth - 1):
        inner = struct.pack("<i", len(inner) + 8) + kind + b"0\0" + inner + b"\0"
    return kind + b"x\0" + inner


def hosts(count):
    def answer(request):
        others = [f"127.0.0.{n % 250 + 1}:{n % 60_000 + 1}" for n in range(count)]
        return request.ordinary() | {"hosts": [*request.peer.addresses, *others]}

    return answer


HELLOS = {
    "nested 1,400 deep": with_elements(nested(1_400)),
    "nested 10,000 deep": with_elements(nested(10_000)),
    "arrays nested 1,400 deep": with_elements(nested(1_400, b"\x04")),
    "10 MB of nulls": with_elements(
        b"\x04x\0" + struct.pack("<i", 5 + 3_333_333 * 3) + b"\x0a0\0" * 3_333_333 + b"\0"
    ),
    "1,000 hosts": hosts(1_000),
    "3,000 hosts": hosts(3_000),
}


if __name__ == "__main__":
    main(*sys.argv[1:])
