"""Makes any value that an encoder may meet: every type of `bson`, their subclasses, what Python has
beside them, and what no encoder can write."""

from __future__ import annotations

import collections
import datetime
import re
import struct
import types
import uuid
from typing import Any

import bson
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from tests.parity.sample_options import Money
from tests.parity.sample_values import (
    AnyMapping,
    AnyMutableMapping,
    Blob,
    Colour,
    Fields,
    Moment,
    MyBinary,
    MyInt64,
    MyObjectId,
    Number,
    Pair,
    Real,
    Row,
    Text,
    Word,
)
from tests.property.choices import Choices
from tests.property.odd_values import ODD, BrokenMapping, Marked
from tests.property.subclasses import (
    MyCode,
    MyDatetimeMS,
    MyDBRef,
    MyDecimal128,
    MyMaxKey,
    MyRaw,
    MyRegex,
    MyTimestamp,
    MyUUID,
)
from tests.property.zones import ZONES


class ValueMaker(Choices):
    def document(self) -> Any:
        """What is passed to `encode`: nearly always a mapping."""
        return self.value() if self.rarely(32) else self.mapping(0)

    def value(self, depth: int = 0) -> Any:
        if self.rarely(48):
            return self.odd(depth)
        return self.pick(LEAVES if depth > 3 else VALUES)(self, depth)

    def encoded(self) -> bytes:
        """A document that could be encoded, as bytes."""
        document = self.fields(0)
        while document:
            try:
                return bson.encode(document, codec_options=LENIENT)
            except Exception:
                document.popitem()
        return bson.encode({})

    # ---- containers

    def list(self, depth: int) -> Any:
        items = self.several(5, lambda: self.value(depth + 1))
        return self.pick((list, list, list, tuple, Row, Pair))(items)

    def named_tuple(self, depth: int) -> Any:
        return Point(self.value(depth + 1), 2)

    def fields(self, depth: int) -> dict[Any, Any]:
        return {self.key(): self.value(depth + 1) for _ in range(self.below(6))}

    def key(self) -> Any:
        if self.rarely(60):
            return self.pick(ODD_KEYS)
        return self.text() if self.rarely(8) else self.pick(KEYS)

    def mapping(self, depth: int) -> Any:
        return self.pick(MAPPINGS)(self.fields(depth))

    def plain_mapping(self, depth: int) -> Any:
        return self.fields(depth)

    def raw(self, depth: int) -> Any:
        return self.pick((RawBSONDocument, MyRaw))(bson.encode({self.pick("abc"): self.number(2)}))

    def db_ref(self, depth: int) -> Any:
        further = {self.pick(("x", "y", "$z")): self.value(depth + 1) for _ in range(self.below(3))}
        database = self.pick((None, None, "db", ""))
        return self.pick((bson.DBRef, MyDBRef))(
            self.pick(KEYS), self.value(depth + 1), database, further
        )

    def code_with_scope(self, depth: int) -> Any:
        return bson.Code(self.text(), self.fields(depth + 1))

    # ---- leaves

    def none(self, depth: int) -> None:
        return None

    def boolean(self, depth: int) -> bool:
        return bool(self.below(2))

    def integer(self, depth: int = 0) -> int:
        if self.rarely(64):
            return self.pick((2**63, -(2**63) - 1, 10**30))
        kind = self.below(3)
        if kind == 0:
            return self.number(1)
        if kind == 1:
            return self.number(8, signed=True) >> self.below(64)
        edge = self.pick((31, 32, 30, 60, 62))
        return self.pick((1, -1)) * (1 << edge) + self.below(5) - 2

    def int64(self, depth: int) -> Any:
        return self.pick((bson.Int64, MyInt64))(self.integer())

    def integer_subclass(self, depth: int) -> Any:
        return self.pick((Number(self.integer()), Colour.RED))

    def float(self, depth: int = 0) -> float:
        return struct.unpack("<d", self.bytes(8))[0] if self.below(2) else self.pick(FLOATS)

    def float_subclass(self, depth: int) -> Any:
        return Real(self.float())

    def text(self, depth: int = 0) -> str:
        alphabet = self.pick(ALPHABETS)
        text = "".join(self.several(9, lambda: self.pick(alphabet)))
        return text * self.pick((1, 1, 1, 1, 20)) if text else text

    def any_text(self, depth: int = 0) -> str:
        return self.text() + (self.pick(("\0", "\ud800", "\udfff x")) if self.rarely(9) else "")

    def text_subclass(self, depth: int) -> Any:
        return self.pick((Text(self.text()), Word.ONE))

    def binary(self, depth: int) -> Any:
        data = self.pick((self.bytes(16), b"", self.bytes(3)))
        subtype = self.number(1) if self.below(2) else self.below(10)
        return self.pick((Binary, Binary, MyBinary))(data, subtype)

    def plain_bytes(self, depth: int) -> Any:
        return self.pick((bytes, bytes, Blob))(self.bytes(self.below(20)))

    def vector(self, depth: int) -> Any:
        count = self.below(5)
        if self.below(2):
            return Binary.from_vector(list(self.bytes(count)), PACKED_BIT)
        return Binary.from_vector([self.pick(FLOATS[:6]) for _ in range(count)], FLOAT32)

    def uuid(self, depth: int) -> Any:
        return self.pick((uuid.UUID, uuid.UUID, MyUUID))(bytes=self.bytes(16))

    def object_id(self, depth: int) -> Any:
        return self.pick((bson.ObjectId, bson.ObjectId, MyObjectId))(self.bytes(12))

    def date(self, depth: int = 0) -> Any:
        return self.pick((datetime.datetime, datetime.datetime, Moment))(
            self.pick((1970, 1, 1900, 1969, 2000, 2024, 9999, 1 + self.number(2) % 9999)),
            1 + self.below(12),
            1 + self.below(28),
            self.below(24),
            self.below(60),
            self.below(60),
            self.number(3) % 1_000_000,
            self.pick(ZONES),
        )

    def edge_date(self, depth: int) -> Any:
        return self.pick((datetime.datetime.min, datetime.datetime.max)).replace(
            tzinfo=self.pick(ZONES)
        )

    def milliseconds(self, depth: int) -> Any:
        return self.pick((DatetimeMS, MyDatetimeMS))(self.number(8, signed=True) >> self.below(64))

    def pattern(self, depth: int) -> Any:
        flags = sum(flag for flag in (2, 8, 16, 64) if self.below(2))
        if self.below(2):
            return re.compile(self.pick(("", "a+", "é", "日")), flags)
        return re.compile(self.pick((b"", b"a+", b"\xc3\xa9", b"\xff", b"\0", b"\xff\0")), flags)

    def regex(self, depth: int) -> Any:
        pattern = self.pick(("", "a+", "é", self.text(), b"b", b"\xff", "a\0b"))
        flags = self.pick(("", "imsux", "l", self.number(4, signed=True)))
        return self.pick((bson.Regex, bson.Regex, MyRegex))(pattern, flags)

    def code(self, depth: int) -> Any:
        return self.pick((bson.Code, bson.Code, MyCode))(self.text())

    def timestamp(self, depth: int) -> Any:
        return self.pick((bson.Timestamp, MyTimestamp))(self.number(4), self.number(4))

    def decimal128(self, depth: int) -> Any:
        return self.pick((bson.Decimal128, MyDecimal128)).from_bid(self.bytes(16))

    def end_key(self, depth: int) -> Any:
        return self.pick((bson.MinKey(), bson.MaxKey(), MyMaxKey()))

    def money(self, depth: int) -> Any:
        return Money(self.number(2))

    # ---- what is not meant to work

    def odd(self, depth: int) -> Any:
        return self.pick(ODD_MAKERS)(self, depth)

    def odd_value(self, depth: int) -> Any:
        return self.pick(ODD)

    def cycle(self, depth: int) -> Any:
        mapping = self.pick((dict, SON, AnyMutableMapping))()
        around = self.pick(AROUND)(mapping)
        mapping["first"] = self.value(4)
        mapping["again"] = around
        return self.pick((mapping, around))

    def deep(self, depth: int) -> Any:
        value = self.value(4)
        for _ in range(self.number(1) // 2):
            value = [value] if self.below(2) else {"d": value}
        return value

    def broken_mapping(self, depth: int) -> Any:
        return BrokenMapping(self.pick(BrokenMapping.WAYS), self.fields(depth))

    def marked(self, depth: int) -> Any:
        """Says that it is one of `bson`'s types, and is not."""
        names = self.several(3, lambda: self.pick(Marked.NAMES))
        attributes = {name: self.value(4) for name in names}
        # Bytes of another length and numbers too big are among the known differences.
        for name, length in (("binary", 12), ("bid", 16)):
            if isinstance(attributes.get(name), bytes):
                attributes[name] = self.bytes(length)
        for name in ("inc", "time"):
            if isinstance(attributes.get(name), int) and attributes[name] >= 2**32:
                attributes[name] %= 2**32
        # Nobody looks into the bytes of a raw document: they would make BSON that nobody can read.
        if isinstance(attributes.get("raw"), bytes):
            attributes["raw"] = bson.encode({"r": 1})
        return Marked(self.pick(MARKERS), attributes)


Point = collections.namedtuple("Point", "x y")
LENIENT: CodecOptions[Any] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
FLOAT32 = bson.binary.BinaryVectorDtype.FLOAT32
PACKED_BIT = bson.binary.BinaryVectorDtype.PACKED_BIT
FLOATS = (0.0, -0.0, 1.5, float("inf"), -float("inf"), float("nan"), 5e-324, 1e308)
ALPHABETS = ("abcxyz", "a b_$.0", "aéü\x80ÿ", "aдв日本\u0800\uffff", "a😀é\U0010ffff")
KEYS = ("a", "b", "c", "_id", "$ref", "$id", "$db", "a.b", "$x", "", "é", "日本", "😀", "k" * 70)
ODD_KEYS = (1, None, b"a", "a\0b", "\ud800", Text("k"), Text("_id"), ("a",), 1.5, "_id\0")
MAPPINGS = (
    *(dict,) * 8,
    SON,
    collections.OrderedDict,
    lambda fields: collections.defaultdict(int, fields),
    lambda fields: collections.Counter() | fields,
    Fields,
    collections.UserDict,
    lambda fields: collections.ChainMap(fields, {"z": 1}),
    types.MappingProxyType,
    AnyMapping,
    AnyMutableMapping,
)
MARKERS = (0, 5, 7, 9, 11, 13, 17, 18, 19, 100, 101, 127, 255, 4, 2**40, True, "5", None)
AROUND = (
    lambda mapping: mapping,
    lambda mapping: [mapping],
    lambda mapping: (1, mapping),
    lambda mapping: {"x": mapping},
    lambda mapping: bson.DBRef("c", mapping),
    lambda mapping: bson.Code("c", {"x": mapping}),
)
LEAVES = (
    ValueMaker.none,
    ValueMaker.boolean,
    ValueMaker.integer,
    ValueMaker.integer,
    ValueMaker.int64,
    ValueMaker.integer_subclass,
    ValueMaker.float,
    ValueMaker.float_subclass,
    ValueMaker.text,
    ValueMaker.text,
    ValueMaker.any_text,
    ValueMaker.text_subclass,
    ValueMaker.binary,
    ValueMaker.plain_bytes,
    ValueMaker.vector,
    ValueMaker.uuid,
    ValueMaker.object_id,
    ValueMaker.date,
    ValueMaker.date,
    ValueMaker.edge_date,
    ValueMaker.milliseconds,
    ValueMaker.pattern,
    ValueMaker.regex,
    ValueMaker.code,
    ValueMaker.timestamp,
    ValueMaker.decimal128,
    ValueMaker.end_key,
    ValueMaker.money,
)
VALUES = (
    *LEAVES,
    *(ValueMaker.list,) * 4,
    ValueMaker.named_tuple,
    *(ValueMaker.plain_mapping,) * 4,
    *(ValueMaker.mapping,) * 3,
    ValueMaker.raw,
    *(ValueMaker.db_ref,) * 2,
    *(ValueMaker.code_with_scope,) * 2,
)
ODD_MAKERS = (
    *(ValueMaker.odd_value,) * 5,
    ValueMaker.cycle,
    ValueMaker.deep,
    ValueMaker.broken_mapping,
    *(ValueMaker.marked,) * 3,
)
