"""BSON that no encoder makes: wrong lengths, bad UTF-8, odd types, odd DBRefs."""

from __future__ import annotations

import struct

import bson
from tests.parity.sample_values import OID


def element(tag: int, value: bytes, name: bytes = b"v") -> bytes:
    body = bytes([tag]) + name + b"\0" + value
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def nested(depth: int, array: bool) -> bytes:
    body = b"\5\0\0\0\0"
    for _ in range(depth):
        body = (
            struct.pack("<i", len(body) + 8) + (b"\4" if array else b"\3") + b"0\0" + body + b"\0"
        )
    return body


STRING = struct.pack("<i", 2) + b"a\0"
CRAFTED: dict[str, bytes] = {
    "undefined": element(6, b""),
    "symbol": element(14, STRING),
    "pointer": element(12, STRING + OID.binary),
    "pointer without id": element(12, STRING + OID.binary[:11]),
    "bad boolean": element(8, b"\2"),
    "unknown type": element(0x20, b""),
    "type zero": element(0, b""),
    "string of length zero": element(2, struct.pack("<i", 0)),
    "string too long": element(2, struct.pack("<i", 9) + b"a\0"),
    "string of negative length": element(2, struct.pack("<i", -1) + b"a\0"),
    "string without end": element(2, struct.pack("<i", 1) + b"a"),
    "bad utf-8": element(2, struct.pack("<i", 4) + b"a\xff\xfe\0"),
    "utf-8 surrogate": element(2, struct.pack("<i", 4) + b"\xed\xa0\x80\0"),
    "overlong utf-8": element(2, struct.pack("<i", 3) + b"\xc0\x80\0"),
    "bad utf-8 key": element(10, b"", b"\xff"),
    "bad utf-8 code": element(13, struct.pack("<i", 2) + b"\xff\0"),
    "bad utf-8 regex": element(11, b"\xff\0\0"),
    "bad utf-8 regex flags": element(11, b"a\0\xff\0"),
    "regex without flags": element(11, b"a\0")[:-1],
    "regex odd flags": element(11, b"a\0zix\0"),
    "binary too long": element(5, struct.pack("<i", 5) + b"\0abc"),
    "binary negative": element(5, struct.pack("<i", -1) + b"\0abc"),
    "old binary, other length": element(
        5, struct.pack("<i", 7) + b"\2" + struct.pack("<i", 2) + b"abc"
    ),
    "old binary, no room": element(5, struct.pack("<i", 2) + b"\2ab"),
    "uuid of 15 bytes": element(5, struct.pack("<i", 15) + b"\4" + b"x" * 15),
    "array too short": element(4, struct.pack("<i", 4)),
    "array cuts element": element(4, struct.pack("<i", 8) + b"\x10" + b"0\0\0" + b"\0\0\0\0"),
    "document longer than its parent": element(3, struct.pack("<i", 50) + b"\0"),
    "document without end": element(3, struct.pack("<i", 5) + b"\1"),
    "scope length differs": element(15, struct.pack("<i", 99) + STRING + b"\5\0\0\0\0"),
    "scope": element(15, struct.pack("<i", 15) + STRING + b"\5\0\0\0\0"),
    "date too far": element(9, struct.pack("<q", 2**62)),
    "date too early": element(9, struct.pack("<q", -(2**62))),
    "first date out": element(9, struct.pack("<q", 253402300800000)),
    "last date in": element(9, struct.pack("<q", 253402300799999)),
    "dbref": bson.encode({"r": {"$ref": "c", "$id": 1}}),
    "dbref, order": bson.encode({"r": {"x": 1, "$id": 1, "$db": "d", "$ref": "c", "y": 2}}),
    "dbref, null db": bson.encode({"r": {"$ref": "c", "$id": 1, "$db": None}}),
    "dbref, ref no string": bson.encode({"r": {"$ref": 1, "$id": 1}}),
    "dbref, db no string": bson.encode({"r": {"$ref": "c", "$id": 1, "$db": 3}}),
    "dbref without id": bson.encode({"r": {"$ref": "c"}}),
    "dbref at top": bson.encode({"$ref": "c", "$id": 1}),
    "dbref as scope": bson.encode({"r": bson.Code("x", {"$ref": "c", "$id": 1})}),
    "same key twice": b"\x10\0\0\0" + b"\x0aa\0" + b"\x0ab\0" + b"\x08a\0\1" + b"\0\0",
    "empty key": element(10, b"", b""),
    "long key": element(10, b"", b"k" * 1000),
    "trailing bytes": bson.encode({}) + b"\0",
    "too short": b"\4\0\0\0",
    "nothing": b"",
    "length zero": b"\0\0\0\0\0",
    "length negative": b"\xff\xff\xff\xff\0",
    "large": bson.encode({"a": [{"k": n, "s": "x" * 30} for n in range(1000)]}),
}
