"""The codec beside PyMongo's: same bytes, same values, same types, same exception types."""

from __future__ import annotations

import collections
import copy
import datetime
import decimal
import enum
import gc
import json
import os
import pathlib
import pickle
import re
import struct
import tracemalloc
import uuid
import zoneinfo
from typing import Any

import bson
import pytest
from bson import json_util
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import (
    CodecOptions,
    DatetimeConversion,
    TypeCodec,
    TypeEncoder,
    TypeRegistry,
)
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from bson.son import SON

from ferromongo import _core

DEFAULT: CodecOptions[Any] = CodecOptions()
AUTO: CodecOptions[Any] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    uuid_representation=UuidRepresentation.STANDARD,
)


def encode(document: Any, check_keys: bool = False, options: CodecOptions[Any] = DEFAULT) -> bytes:
    return _core.encode(document, check_keys, options)


def decode(data: Any, options: CodecOptions[Any] = DEFAULT) -> Any:
    return _core.decode(data, options)


def shape(value: Any) -> Any:
    """A value as something that compares types, order and hidden state too."""
    kind = type(value)
    if isinstance(value, RawBSONDocument):
        return kind, bytes(value.raw)
    if isinstance(value, collections.abc.Mapping):
        return kind, [(type(key), key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return kind, [shape(item) for item in value]
    if isinstance(value, float):
        return kind, struct.pack("<d", value)
    if isinstance(value, bson.DBRef):
        return (
            kind,
            value.collection,
            shape(value.id),
            value.database,
            shape(value._DBRef__kwargs),
        )
    if isinstance(value, bson.Code):
        return kind, str(value), shape(value.scope)
    if isinstance(value, bson.Regex):
        return kind, value.pattern, type(value.flags), value.flags
    if isinstance(value, Binary):
        return kind, bytes(value), value.subtype
    if isinstance(value, datetime.datetime):
        return kind, value, value.fold, repr(value.tzinfo), value.utcoffset()
    if isinstance(value, uuid.UUID):
        return kind, value, value.is_safe
    if isinstance(value, (DatetimeMS, bson.Int64)):
        return kind, int(value)
    return kind, value


def outcome(function: Any, *arguments: Any) -> Any:
    try:
        return "ok", shape(function(*arguments))
    except Exception as error:
        return "raised", type(error)


def both_encode(
    document: Any, check_keys: bool = False, options: CodecOptions[Any] = DEFAULT
) -> Any:
    ours, theirs = (
        outcome(encode, document, check_keys, options),
        outcome(bson.encode, document, check_keys, options),
    )
    assert ours == theirs
    return ours


def both_decode(data: bytes, options: CodecOptions[Any] = DEFAULT) -> Any:
    ours, theirs = outcome(decode, data, options), outcome(bson.decode, data, options)
    assert ours == theirs
    return ours


class Text(str):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Fields(dict):
    pass


class Row(list):
    pass


class Pair(tuple):
    pass


class Blob(bytes):
    pass


class MyObjectId(bson.ObjectId):
    pass


class MyInt64(bson.Int64):
    pass


class MyBinary(Binary):
    pass


class Moment(datetime.datetime):
    pass


class Colour(enum.IntEnum):
    RED = 1


class Word(str, enum.Enum):  # noqa: UP042 (a str subclass of this kind is the point)
    ONE = "one"


class AnyMapping(collections.abc.Mapping):
    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def __iter__(self) -> Any:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)


class AnyMutableMapping(AnyMapping, collections.abc.MutableMapping):
    def __setitem__(self, key: str, value: Any) -> None:
        self.fields[key] = value

    def __delitem__(self, key: str) -> None:
        del self.fields[key]


class Eager:
    """Answers any attribute, as a PyMongo Database does."""

    def __getattr__(self, name: str) -> Any:
        return Eager()


UTC = datetime.UTC
OID = bson.ObjectId("0123456789abcdef01234567")
UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
NAMED_UUID = uuid.uuid5(UUID, "name")

VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "int32 max": 2**31 - 1,
    "int32 min": -(2**31),
    "above int32": 2**31,
    "below int32": -(2**31) - 1,
    "int64 max": 2**63 - 1,
    "int64 min": -(2**63),
    "over int64": 2**63,
    "under int64": -(2**63) - 1,
    "huge int": 10**40,
    **{
        f"Int64 {n}": bson.Int64(n)
        for n in (
            0,
            1,
            -1,
            5,
            256,
            2**30 - 1,
            2**30,
            -(2**30),
            2**60 - 1,
            2**60,
            2**63 - 1,
            -(2**63),
        )
    },
    "Int64 too big": bson.Int64(2**63),
    "float": 1.5,
    "minus zero": -0.0,
    "infinity": float("inf"),
    "nan": float("nan"),
    "empty string": "",
    "one letter": "a",
    "one wide letter": "é",
    "ascii": "hello world, a rather longer string",
    "latin1": "déjà vu",
    "two bytes": "Привет, мир",
    "three bytes": "日本語テキスト",
    "four bytes": "smile 😀 é日",
    "nul inside": "a\0b",
    "lone surrogate": "bad \ud800",
    "latin1 to wide": "é" * 20 + "日",
    "list": [1, "two", [3.0, None], {"four": 4}],
    "empty list": [],
    "long list": list(range(1101)),
    "tuple": (1, (2, 3)),
    "dict": {"a": {"b": {"c": []}}},
    "empty dict": {},
    "wide key": {"ключ": 1, "日本": 2, "é": 3},
    "keys of all lengths": {"k" * n: n for n in range(80)},
    "bytes": b"\0\1\2",
    "empty bytes": b"",
    **{
        f"Binary {n}": Binary(b"0123456789abcdef", n)
        for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 128, 255)
    },
    "Binary empty 2": Binary(b"", 2),
    "Binary short uuid": Binary(b"abc", 4),
    "Binary short old uuid": Binary(b"abc", 3),
    "vector": Binary.from_vector([1.0, 2.0], bson.binary.BinaryVectorDtype.FLOAT32),
    "uuid": UUID,
    "uuid5": NAMED_UUID,
    "ObjectId": OID,
    "naive date": datetime.datetime(2024, 2, 29, 23, 59, 59, 999999),
    "min date": datetime.datetime.min,
    "max date": datetime.datetime.max,
    "before 1970": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),
    "1900": datetime.datetime(1900, 3, 1),
    "utc date": datetime.datetime(2024, 1, 2, 3, 4, 5, 678901, UTC),
    "bson utc date": datetime.datetime(2024, 1, 2, 3, 4, 5, 678901, bson.utc),
    "zone date": datetime.datetime(2024, 7, 2, 3, 4, 5, 1000, zoneinfo.ZoneInfo("Europe/Paris")),
    "offset date": datetime.datetime(
        2024, 7, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
    ),
    "odd offset": datetime.datetime(
        2024, 7, 2, tzinfo=datetime.timezone(datetime.timedelta(microseconds=500))
    ),
    "out of range in utc": datetime.datetime.min.replace(
        tzinfo=datetime.timezone(datetime.timedelta(hours=1))
    ),
    "date subclass": Moment(2020, 1, 1, tzinfo=UTC),
    "date only": datetime.date(2020, 1, 1),
    "DatetimeMS": DatetimeMS(1),
    "DatetimeMS far": DatetimeMS(2**62),
    "regex": re.compile("^a.*b$"),
    "regex flags": re.compile("a", re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE),
    "regex bytes": re.compile(b"a\xc3\xa9", re.IGNORECASE),
    "regex bad bytes": re.compile(b"\xff"),
    "regex nul": bson.Regex("a\0b"),
    "Regex": bson.Regex("é+", "ilmsux"),
    "Regex wild flags": bson.Regex("x", 2**20 | 2),
    "Code": bson.Code("function () {}"),
    "Code with scope": bson.Code("x", {"x": 1, "$y": bson.Code("é")}),
    "Code empty scope": bson.Code("x", {}),
    "Timestamp": bson.Timestamp(2**32 - 1, 2**31 + 1),
    "Decimal128": bson.Decimal128("1.50"),
    "Decimal128 nan": bson.Decimal128("NaN"),
    "Decimal128 min": bson.Decimal128("-9.999999999999999999999999999999999E+6144"),
    "MinKey": bson.MinKey(),
    "MaxKey": bson.MaxKey(),
    "DBRef": bson.DBRef("c", OID),
    "DBRef db": bson.DBRef("c", 1, "db"),
    "DBRef more": bson.DBRef("c", {"deep": [1]}, "db", further=1, x="y"),
    "DBRef in DBRef": bson.DBRef("c", bson.DBRef("d", 2)),
    "raw": RawBSONDocument(bson.encode({"a": [1, {"b": 2}]})),
    "SON": SON([("z", 1), ("a", SON([("y", 2)]))]),
    "OrderedDict": collections.OrderedDict(z=1, a=2),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "UserDict": collections.UserDict(a=1, b={"c": 2}),
    "ChainMap": collections.ChainMap({"a": 1}, {"b": 2}),
    "mapping": AnyMapping(a=1, b=AnyMapping(c=2)),
    "str subclass": Text("t"),
    "int subclass": Number(7),
    "big int subclass": Number(2**40),
    "too big int subclass": Number(2**70),
    "float subclass": Real(2.5),
    "dict subclass": Fields(a=Text("b")),
    "list subclass": Row([1]),
    "tuple subclass": Pair((1, 2)),
    "bytes subclass": Blob(b"x"),
    "ObjectId subclass": MyObjectId(OID),
    "Int64 subclass": MyInt64(9),
    "Binary subclass": MyBinary(b"x", 6),
    "int enum": Colour.RED,
    "str enum": Word.ONE,
    "named tuple": collections.namedtuple("Point", "x y")(1, 2),
    "object": object(),
    "set": {1},
    "complex": 1j,
    "generator": (n for n in ()),
    "decimal": decimal.Decimal(1),
    "bytearray": bytearray(b"x"),
    "memoryview": memoryview(b"x"),
    "class": int,
    "eager": Eager(),
    "key not a string": {1: 2},
    "bytes key": {b"a": 1},
    "nul key": {"a\0b": 1},
    "surrogate key": {"\ud800": 1},
    "dollar key": {"$a": 1},
    "dotted key": {"a.b": 1},
    "key of a str subclass": {Text("k"): 1},
}


def readable(value: Any) -> bool:
    """Whether PyMongo can write the value and read it back."""
    try:
        bson.decode(bson.encode({"v": value}, codec_options=AUTO), AUTO)
    except Exception:
        return False
    return True


READABLE = {name: value for name, value in VALUES.items() if readable(value)}

OPTIONS: dict[str, CodecOptions[Any]] = {
    "default": DEFAULT,
    "aware": CodecOptions(tz_aware=True),
    "utc": CodecOptions(tz_aware=True, tzinfo=UTC),
    "paris": CodecOptions(tz_aware=True, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
    "behind": CodecOptions(tz_aware=True, tzinfo=datetime.timezone(datetime.timedelta(hours=-12))),
    **{
        f"{conversion.name}{' paris' if zone else ''}": CodecOptions(
            tz_aware=zone,
            tzinfo=zoneinfo.ZoneInfo("Europe/Paris") if zone else None,
            datetime_conversion=conversion,
        )
        for conversion in DatetimeConversion
        for zone in (False, True)
    },
    **{
        f"uuid {number}": CodecOptions(uuid_representation=number)
        for number in (
            UuidRepresentation.STANDARD,
            UuidRepresentation.PYTHON_LEGACY,
            UuidRepresentation.JAVA_LEGACY,
            UuidRepresentation.CSHARP_LEGACY,
        )
    },
    "SON": CodecOptions(document_class=SON),
    "SON[...]": CodecOptions(document_class=SON[str, Any]),
    "dict[...]": CodecOptions(document_class=dict[str, Any]),
    "dict subclass": CodecOptions(document_class=Fields),
    "OrderedDict": CodecOptions(document_class=collections.OrderedDict),
    "mutable mapping": CodecOptions(document_class=AnyMutableMapping),
    "raw": CodecOptions(document_class=RawBSONDocument),
    **{
        f"unicode {errors}": CodecOptions(unicode_decode_error_handler=errors)
        for errors in ("replace", "ignore", "backslashreplace", "surrogateescape")
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_every_type_with_every_option(value: Any, options: CodecOptions[Any]) -> None:
    for document in ({"v": value}, {"outer": {"list": [value]}, "v": value}):
        kind, encoded = both_encode(document, False, options)
        both_encode(document, True, options)
        if kind == "ok":
            both_decode(encoded[1], options)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_as_the_document_itself(value: Any) -> None:
    both_encode(value)


def test_id_comes_first() -> None:
    both_encode({"a": 1, "_id": 2, "b": {"x": 1, "_id": 3}})
    both_encode(AnyMapping(a=1, _id=2))
    both_encode(SON([("a", 1), ("_id", 2)]))
    both_encode(collections.defaultdict(list, a=1))
    assert list(decode(encode({"a": 1, "_id": 2}))) == ["_id", "a"]


def test_a_defaultdict_gets_no_id() -> None:
    document = collections.defaultdict(list, a=1)
    encode(document)
    assert "_id" not in document


@pytest.mark.parametrize(
    "document",
    [
        {"a": object()},
        {"a": {"b": [object()]}},
        {1: 1},
        {"a\0": 1},
        AnyMapping(a=object()),
        {"_id": object()},
        {"_id": {1: 2}},
        SON(a={"b": 1j}),
    ],
)
def test_an_invalid_document_is_named(document: Any) -> None:
    with pytest.raises(bson.errors.InvalidDocument) as ours:
        encode(document)
    with pytest.raises(bson.errors.InvalidDocument) as theirs:
        bson.encode(document)
    assert ours.value.document is theirs.value.document


def test_a_document_that_holds_itself() -> None:
    document: dict[str, Any] = {}
    document["self"] = document
    both_encode(document)
    items: list[Any] = []
    items.append(items)
    both_encode({"items": items})
    assert outcome(encode, document) == ("raised", RecursionError)


def nested(depth: int, array: bool) -> bytes:
    body = b"\5\0\0\0\0"
    for _ in range(depth):
        body = (
            struct.pack("<i", len(body) + 8) + (b"\4" if array else b"\3") + b"0\0" + body + b"\0"
        )
    return body


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("depth", [1, 100, 200])
def test_nesting_that_both_can_read(depth: int, array: bool) -> None:
    assert both_decode(nested(depth, array))[0] == "ok"


@pytest.mark.parametrize("array", [False, True])
def test_nesting_too_deep_is_an_error(array: bool) -> None:
    # At the limit and around it, where Python has no room left for anything, and far beyond.
    for depth in (*range(900, 1010), 3000):
        data = nested(depth, array)
        refusal = None
        try:
            decode(data)
        except bson.errors.InvalidBSON as error:
            refusal = str(error)
        assert depth < 1000 if refusal is None else re.search("deep|recursion", refusal)
    # From Python 3.12 on, PyMongo itself may have no stack left to wrap the error.
    assert outcome(bson.decode, data)[1] in (bson.errors.InvalidBSON, RecursionError)


def test_encoding_too_deep_is_an_error() -> None:
    refused = 0
    for depth in (*range(900, 1010), 3000):
        document: dict[str, Any] = {}
        for level in range(depth):
            document = {"d": document} if level % 2 else {"d": [document]}
        try:
            encode(document)
        except RecursionError:
            refused += 1
    assert refused > 1


def test_a_list_that_changes_while_it_is_encoded() -> None:
    class Zone(datetime.tzinfo):
        def utcoffset(self, moment: Any) -> datetime.timedelta:
            items.clear()
            fields.clear()
            gc.collect()
            return datetime.timedelta(0)

    items: list[Any] = []
    fields: dict[str, Any] = {}
    items += [datetime.datetime(2024, 1, 1, tzinfo=Zone()), ["x" * 100], "gone"]
    fields.update(a=items, b={"c": ["y" * 100]})
    assert decode(encode({"fields": fields})) == {"fields": {"a": [datetime.datetime(2024, 1, 1)]}}


@pytest.mark.parametrize("make", [bytearray, memoryview, lambda data: memoryview(data + b"")[:]])
def test_any_buffer_can_be_decoded(make: Any) -> None:
    data = bson.encode({"a": [1, "two"]})
    assert decode(make(data)) == bson.decode(make(data))


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
def test_what_is_not_a_buffer(data: Any) -> None:
    both_decode(data)


def test_options_must_be_codec_options() -> None:
    for options in (None, {}, (dict, False, 0, "strict", None, None, 1)):
        with pytest.raises(TypeError):
            encode({}, options=options)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            decode(bson.encode({}), options)  # type: ignore[arg-type]


def element(tag: int, value: bytes, name: bytes = b"v") -> bytes:
    body = bytes([tag]) + name + b"\0" + value
    return struct.pack("<i", len(body) + 5) + body + b"\0"


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


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("data", CRAFTED.values(), ids=CRAFTED)
def test_bytes_that_no_encoder_makes(data: bytes, options: CodecOptions[Any]) -> None:
    both_decode(data, options)


def test_every_truncation_and_every_flipped_bit_of_a_rich_document() -> None:
    document = {
        name: value
        for name, value in VALUES.items()
        if outcome(encode, {"v": value})[0] == "ok" and len(encode({"v": value})) < 60
    }
    data = bytearray(
        bson.encode({"v": list(document.values())[::2], "w": {"deep": [{"a": 1}, "b"]}})
    )
    for length in range(len(data)):
        assert outcome(decode, bytes(data[:length])) == (
            "raised",
            bson.errors.InvalidBSON,
        )
    agreed = 0
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            broken = bytes(data)
            ours, theirs = outcome(decode, broken), outcome(bson.decode, broken)
            # PyMongo compares some lengths less strictly: it may read what we refuse, not the
            # other way round.
            if ours[0] == "ok":
                assert ours == theirs
            else:
                assert ours[1] is bson.errors.InvalidBSON
            agreed += ours == theirs
            data[place] ^= 1 << bit
    assert agreed > 0.98 * 8 * len(data)


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents


class MoneyCodec(TypeCodec):
    python_type = Money
    bson_type = bson.Decimal128

    def transform_python(self, value: Money) -> Any:
        return bson.Decimal128(f"{value.cents / 100:.2f}")

    def transform_bson(self, value: bson.Decimal128) -> Money:
        return Money(int(value.to_decimal() * 100))


class UpperCodec(TypeCodec):
    python_type = Eager
    bson_type = str

    def transform_python(self, value: Any) -> Any:
        return object()

    def transform_bson(self, value: str) -> str:
        if value == "bad":
            raise ZeroDivisionError
        return value.upper()


class DictCodec(TypeEncoder):
    python_type = set

    def transform_python(self, value: set[Any]) -> Any:
        return {"set": sorted(value)}


def fallback(value: Any) -> Any:
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, frozenset):
        raise ZeroDivisionError
    return value


REGISTRIES = {
    "codec": TypeRegistry([MoneyCodec()]),
    "codecs": TypeRegistry([MoneyCodec(), UpperCodec(), DictCodec()]),
    "fallback": TypeRegistry(fallback_encoder=fallback),
    "both": TypeRegistry([MoneyCodec(), UpperCodec(), DictCodec()], fallback),
}


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=REGISTRIES)
@pytest.mark.parametrize(
    "value",
    [
        Money(1234),
        {1, 2},
        1j,
        2**70,
        Number(2**70),
        object(),
        frozenset(),
        Eager(),
        "text",
        "bad",
        {"in": [Money(5), "text"]},
    ],
    ids=repr,
)
def test_type_codecs(value: Any, registry: TypeRegistry) -> None:
    options = CodecOptions(type_registry=registry)
    kind, encoded = outcome(encode, {"v": value}, False, options)
    assert kind == outcome(bson.encode, {"v": value}, False, options)[0]
    for document in ({"v": value}, {"v": {"w": [value]}}):
        kind, encoded = outcome(encode, document, False, options)
        assert (kind, encoded) == outcome(bson.encode, document, False, options)
        if kind == "ok":
            ours, theirs = (
                outcome(decode, encoded[1], options),
                outcome(bson.decode, encoded[1], options),
            )
            assert ours[0] == theirs[0]
            if ours[0] == "raised":
                assert ours == theirs
            else:
                assert decode(encoded[1], options) == bson.decode(encoded[1], options)


def test_values_made_here_are_like_those_made_by_their_constructors() -> None:
    classes = (
        bson.ObjectId,
        bson.Timestamp,
        bson.Decimal128,
        bson.Regex,
        bson.Int64,
        Binary,
        DatetimeMS,
        bson.Code,
        bson.DBRef,
        uuid.UUID,
    )
    values = [value for value in READABLE.values() if isinstance(value, classes)]
    made = decode(bson.encode({"v": values}, codec_options=AUTO), AUTO)["v"]
    assert {type(value) for value in made} >= {*classes}
    for value in made:
        for twin in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
            assert shape(twin) == shape(value)
        repr(value)
    assert made[0] + 1 == 1
    assert type(made[0] + 1) is int


def test_nothing_leaks() -> None:
    data = bson.encode(READABLE, codec_options=AUTO)
    broken = [
        data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2),
        element(2, struct.pack("<i", 4) + b"a\xff\xfe\0"),
    ]

    def work() -> None:
        for _ in range(20):
            decode(encode(decode(data, AUTO), options=AUTO), AUTO)
            for piece in broken:
                outcome(decode, piece)
            outcome(encode, {"a": {"b": [1, object()]}})

    work()
    gc.collect()
    tracemalloc.start()
    work()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        work()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 10_000


def test_the_collector_stays_as_it_was() -> None:
    data = CRAFTED["large"]
    decode(data)
    assert gc.isenabled()
    gc.disable()
    try:
        decode(data)
        assert not gc.isenabled()
    finally:
        gc.enable()
    outcome(decode, data[:-2] + b"\1\0")
    assert gc.isenabled()


SPECS = pathlib.Path(
    os.environ.get("FERROMONGO_SPECS", pathlib.Path(__file__).parents[2] / "../shared/specs")
)
CORPUS = sorted((SPECS / "bson-corpus/tests").glob("*.json"))


@pytest.mark.skipif(not CORPUS, reason="the official BSON corpus is not here: set FERROMONGO_SPECS")
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_official_corpus(path: pathlib.Path) -> None:
    corpus = json.loads(path.read_text())
    options = CodecOptions(
        tz_aware=True,
        uuid_representation=UuidRepresentation.STANDARD,
        document_class=SON,
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    )
    for case in corpus.get("valid", ()):
        data = bytes.fromhex(case["canonical_bson"])
        assert both_decode(data, options)[0] == "ok", case["description"]
        if not corpus.get("deprecated"):
            assert encode(decode(data, options), options=options) == data, case["description"]
        if "degenerate_bson" in case:
            degenerate = bytes.fromhex(case["degenerate_bson"])
            assert encode(decode(degenerate, options), options=options) == data, case["description"]
        if not corpus.get("deprecated"):
            extended = json_util.loads(
                case["canonical_extjson"],
                json_options=json_util.JSONOptions(
                    json_mode=json_util.JSONMode.CANONICAL,
                    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
                    uuid_representation=4,
                    document_class=SON,
                ),
            )
            both_encode(extended, False, options)
    for case in corpus.get("decodeErrors", ()):
        # PyMongo's decoder is laxer than the specification in places: never be laxer still.
        data = bytes.fromhex(case["bson"])
        if outcome(bson.decode, data, options)[0] == "raised":
            assert outcome(decode, data, options) == (
                "raised",
                bson.errors.InvalidBSON,
            ), case["description"]
