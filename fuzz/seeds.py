"""Write the first inputs into `fuzz/corpus/`: the documents of the official scenarios, where
those are at hand (FERROMONGO_SPECS), and a few of our own."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import struct
import zlib
from collections.abc import Iterator

import bson
from bson import json_util

CORPUS = pathlib.Path(__file__).parent / "corpus"
SPECS = pathlib.Path(os.environ.get("FERROMONGO_SPECS", "no specs"))


def main() -> None:
    documents = [*official_documents(), *own_documents()]
    hellos = [*official_hellos(), bson.encode({"ok": 1, "isWritablePrimary": True})]
    batches = [documents[at : at + 3] for at in range(0, len(documents), 3)]
    write("decode", (b"\0\0\0" + document for document in documents))
    write("decode", (b"\0\0\xc1" + array(batch) for batch in batches))
    # The crate reads a nested document once for each of its levels: none that are deep.
    shallow = [document for document in documents if len(document) < 2000]
    write("differential", (b"\0" + document for document in shallow))
    write("encode", (b"\0\0\1" + document for document in documents))
    write("hello", hellos)
    messages = [message(document) for document in [*hellos, *map(cursor, batches)]]
    write("log", [*logs(), *(log[:-3] for log in logs()), *(log + bytes(40) for log in logs())])
    write("reply", [*messages, *(compressed(message) for message in messages)])


def official_documents() -> Iterator[bytes]:
    for file in sorted(SPECS.glob("bson-corpus/tests/*.json")):
        scenario = json.loads(file.read_text())
        for case in scenario.get("valid", []):
            for name in ("canonical_bson", "degenerate_bson"):
                yield bytes.fromhex(case.get(name, ""))
        for case in scenario.get("decodeErrors", []):
            yield bytes.fromhex(case["bson"])


def official_hellos() -> Iterator[bytes]:
    for file in sorted(SPECS.glob("server-discovery-and-monitoring/tests/**/*.json")):
        for phase in json_util.loads(file.read_text()).get("phases", []):
            for _, reply in phase.get("responses", []):
                yield bson.encode(reply)


def own_documents() -> Iterator[bytes]:
    reference = bson.DBRef("c", 1, "d", more=[{}])
    scoped = bson.Code("code", {"long": bson.Int64(2**62)})
    yield bson.encode({"_id": 1, "é": ["日本", "😀" * 3], "reference": reference})
    yield bson.encode({"a name of more than sixteen bytes": scoped})
    # Around the depth at which both codecs give up.
    yield from map(nested, (90, 480, 960, 999, 1100))


def nested(depth: int) -> bytes:
    inner = b"\5\0\0\0\0"
    for _ in range(depth):
        inner = struct.pack("<i", len(inner) + 7) + b"\3\0" + inner + b"\0"
    return inner


def logs() -> Iterator[bytes]:
    """Files of the transaction log."""
    key = {"lsid": bson.Binary(bytes(16), 4), "txnNumber": bson.Int64(1)}
    begun = {"t": "open", **key, "state": "open", "statements": [{"command": "find", "ns": "d.c"}]}
    committing = begun | {"t": "committing", "state": "committing"}
    ended = {"t": "ended", **key, "outcome": "committed", "commits": bson.Int64(1)}
    yield b"FMJ1\n"
    for records in ([begun], [begun, committing], [begun, committing, ended], [ended]):
        yield b"FMJ1\n" + b"".join(map(record, records))


def record(document: dict[str, object]) -> bytes:
    encoded = bson.encode(document)
    return struct.pack("<I", zlib.crc32(encoded)) + encoded


def array(documents: list[bytes]) -> bytes:
    body = b"".join(b"\3%d\0" % at + document for at, document in enumerate(documents))
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def cursor(documents: list[bytes]) -> bytes:
    batch = b"\4firstBatch\0" + array(documents) + b"\x12id\0" + bytes(8)
    inner = b"\3cursor\0" + struct.pack("<i", len(batch) + 5) + batch + b"\0"
    return struct.pack("<i", len(inner) + 18) + inner + b"\1ok\0" + struct.pack("<d", 1) + b"\0"


def message(document: bytes) -> bytes:
    """An OP_MSG that answers request 0."""
    return struct.pack("<iiiiIB", len(document) + 21, 1, 0, 2013, 0, 0) + document


def compressed(message: bytes) -> bytes:
    """The same as an OP_COMPRESSED by zlib."""
    data = zlib.compress(message[16:])
    head = struct.pack("<iiiiiiB", len(data) + 25, 1, 0, 2012, 2013, len(message) - 16, 2)
    return head + data


def write(target: str, inputs: Iterator[bytes] | list[bytes]) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    main()
