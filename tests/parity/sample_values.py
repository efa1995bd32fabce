"""A value of each kind that an encoder may meet, and the classes that make some of them."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import re
import uuid
import zoneinfo
from typing import Any

import bson
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from bson.son import SON

AUTO: CodecOptions[Any] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    uuid_representation=UuidRepresentation.STANDARD,
)


def shown(value: Any) -> str:
    """Its `repr` without addresses, as a test's id: the same in each worker of pytest-xdist."""
    return re.sub(r" at 0x\w+", "", repr(value))


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
    def __init__(self, fields: Any = (), /, **further: Any) -> None:
        self.fields = dict(fields, **further)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fields!r})"

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
