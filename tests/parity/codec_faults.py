"""What can go wrong in a document: bad values and bytes of every kind, and the places for them."""

from __future__ import annotations

import collections
import datetime
import re
import uuid
from collections.abc import Callable
from typing import Any

import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions, TypeCodec, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from tests.parity.sample_bytes import CRAFTED, element
from tests.parity.sample_values import AnyMapping, AnyMutableMapping

PLACES: dict[str, Callable[[Any], Any]] = {
    "field": lambda value: {"a": 1, "v": value},
    "id": lambda value: {"_id": value},
    "document": lambda value: {"a": {"v": value}},
    "list": lambda value: {"a": [1, value]},
    "tuple": lambda value: {"a": ((value,),)},
    "SON": lambda value: SON(a=SON(v=value)),
    "mapping": lambda value: collections.ChainMap({"a": AnyMapping(v=value)}),
    "DBRef id": lambda value: {"r": bson.DBRef("c", value)},
    "DBRef field": lambda value: {"r": bson.DBRef("c", 1, further=value)},
    "scope": lambda value: {"c": bson.Code("x", {"v": value})},
}


class Asked:
    """A value that only a type codec can turn into something."""


class Marked:
    """Says that it is a type of `bson`, and is not."""

    def __init__(self, marker: int, **attributes: Any) -> None:
        self._type_marker = marker
        self.__dict__.update(attributes)


def broken(made: Any, slot: str, value: Any) -> Any:
    """An instance that holds what its constructor would have refused."""
    object.__setattr__(made, slot, value)
    return made


class Unshowable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


class Zone(datetime.tzinfo):
    def __init__(self, offset: Any) -> None:
        self.offset = offset

    def utcoffset(self, moment: Any) -> Any:
        if isinstance(self.offset, type):
            raise self.offset
        return self.offset

    def dst(self, moment: Any) -> Any:
        return None


BAD_VALUES: dict[str, Any] = {
    "object": object(),
    "object without repr": Unshowable(),
    "set": {1},
    "int": 2**63,
    "negative int": -(2**63) - 1,
    "Int64": bson.Int64(2**70),
    "surrogate": "a\ud800b",
    "surrogate in a wide string": "日😀\udfff",
    "surrogate in code": bson.Code("\ud800"),
    "surrogate in a scope": bson.Code("x", {"\ud800": 1}),
    "surrogate in a regex": bson.Regex("\ud800"),
    "surrogate in a DBRef": bson.DBRef("\ud800", 1),
    "NUL in a regex": bson.Regex("a\0b"),
    "bad bytes in a regex": re.compile(b"\xff"),
    "NUL in a key": {"a\0b": 1},
    "surrogate in a key": {"\ud800": 1},
    "key that is no string": {1: 1},
    "key of bytes": {b"a": 1},
    "key without repr": {Unshowable(): 1},
    "key that is no string, in a mapping": SON([(1, 2)]),
    "NUL in a DBRef's field": bson.DBRef("c", 1, **{"a\0b": 1}),
    "scope of a bad value": bson.Code("x", {"a": object()}),
    "DBRef to a bad value": bson.DBRef("c", object()),
    "date out of range": datetime.datetime.min.replace(
        tzinfo=datetime.timezone(datetime.timedelta(hours=1))
    ),
    "zone that fails": datetime.datetime(2020, 1, 1, tzinfo=Zone(ZeroDivisionError)),
    "zone of another type": datetime.datetime(2020, 1, 1, tzinfo=Zone(5)),
    "uuid": uuid.UUID(int=1),
    "empty ObjectId": bson.ObjectId.__new__(bson.ObjectId),
    "short ObjectId": broken(bson.ObjectId(), "_ObjectId__id", b"short"),
    "ObjectId of text": broken(bson.ObjectId(), "_ObjectId__id", "0123456789ab"),
    "empty Timestamp": bson.Timestamp.__new__(bson.Timestamp),
    "Timestamp of text": broken(bson.Timestamp(1, 1), "_Timestamp__inc", "1"),
    "empty Decimal128": bson.Decimal128.__new__(bson.Decimal128),
    "empty Regex": bson.Regex.__new__(bson.Regex),
    "empty DBRef": bson.DBRef.__new__(bson.DBRef),
    "empty DatetimeMS": DatetimeMS.__new__(DatetimeMS),
    "empty UUID": uuid.UUID.__new__(uuid.UUID),
    **{f"marked {marker}": Marked(marker) for marker in (5, 7, 9, 11, 13, 17, 18, 19, 100, 101)},
    "marked 5, with a subtype": Marked(5, subtype=1),
    "marked 7, short": Marked(7, binary=b"1"),
    "marked 11, odd": Marked(11, pattern=5, flags=2),
    "marked 13, odd": Marked(13, scope=5),
    "marked 17, too big": Marked(17, inc=2**32, time=1),
    "marked 19, short": Marked(19, bid=b"1"),
    "marked 100, odd": Marked(100, as_doc=lambda: 5),
    "marked 101, odd": Marked(101, raw=5),
    "subtype out of range": broken(Binary(b"x"), "_Binary__subtype", 256),
    "subtype of text": broken(Binary(b"x"), "_Binary__subtype", "5"),
    "scope that is no mapping": broken(bson.Code("x"), "_Code__scope", 5),
}


class Refusing(TypeCodec):
    python_type = Asked
    bson_type = str

    def transform_python(self, value: Any) -> Any:
        raise ZeroDivisionError("codec")

    transform_bson = transform_python


def refuse(value: Any) -> Any:
    raise ZeroDivisionError("fallback")


REFUSING: dict[str, CodecOptions[Any]] = {
    "codec": CodecOptions(type_registry=TypeRegistry([Refusing()])),
    "fallback": CodecOptions(type_registry=TypeRegistry(fallback_encoder=refuse)),
    "no answer": CodecOptions(type_registry=TypeRegistry(fallback_encoder=lambda value: value)),
}


class Unwritable(AnyMutableMapping):
    def __setitem__(self, key: str, value: Any) -> None:
        raise ZeroDivisionError


READING: dict[str, CodecOptions[Any]] = {
    "dict": CodecOptions(),
    "SON": CodecOptions(document_class=SON),
    "mapping": CodecOptions(document_class=AnyMutableMapping),
    "unwritable": CodecOptions(document_class=Unwritable),
    "raw": CodecOptions(document_class=RawBSONDocument),
    "zone": CodecOptions(tz_aware=True, tzinfo=Zone(ZeroDivisionError)),
    "unicode": CodecOptions(unicode_decode_error_handler="surrogateescape"),
    "unknown handler": CodecOptions(unicode_decode_error_handler="no such handler"),
    "codec": REFUSING["codec"],
    "uuid": CodecOptions(uuid_representation=4),
}

BAD_BYTES: dict[str, bytes] = {
    **CRAFTED,
    **{f"{name}, deeper": element(3, data) for name, data in CRAFTED.items()},
    **{
        f"{name}, in an array": element(4, element(4, data, b"0")) for name, data in CRAFTED.items()
    },
    "date": bson.encode({"d": datetime.datetime(2020, 1, 1), "t": "text"}),
    "text": bson.encode({"a": {"b": ["text"]}}),
    "uuid of another length": element(5, b"\3\0\0\0\4abc"),
}
