"""Values that no encoder should take: unknown types, mappings that fail, objects that pretend."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import fractions
import re
import unittest.mock
import uuid
from typing import Any

import numpy
from tests.parity.sample_values import Eager


class Marked:
    """Carries a type marker of `bson`'s classes and some of their attributes."""

    NAMES = (
        "subtype",
        "binary",
        "pattern",
        "flags",
        "scope",
        "inc",
        "time",
        "bid",
        "raw",
        "as_doc",
    )

    def __init__(self, marker: Any, attributes: dict[str, Any]) -> None:
        self._type_marker = marker
        self.attributes = attributes

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["attributes"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __repr__(self) -> str:
        return f"Marked({self._type_marker!r}, {self.attributes!r})"


class Answering(Exception):
    pass


class Refusing:
    """Any attribute it lacks is an error of another kind, as with proxies of web frameworks."""

    def __getattr__(self, name: str) -> Any:
        raise Answering(name)


class BrokenMapping(collections.abc.Mapping):
    WAYS = ("getitem", "missing", "iter", "next", "len", "contains", "keys")

    def __init__(self, way: str, fields: dict[Any, Any]) -> None:
        self.way = way
        self.fields = fields

    def __getitem__(self, key: Any) -> Any:
        if self.way == "getitem":
            raise Answering(key)
        if self.way == "missing":
            raise KeyError(key)
        return self.fields[key]

    def __iter__(self) -> Any:
        if self.way == "iter":
            raise Answering
        yield from self.fields
        if self.way == "next":
            raise Answering
        if self.way == "keys":
            yield 1

    def __len__(self) -> int:
        if self.way == "len":
            raise Answering
        return len(self.fields)

    def __contains__(self, key: object) -> bool:
        if self.way == "contains":
            raise Answering
        return key in self.fields

    def __repr__(self) -> str:
        return f"BrokenMapping({self.way!r}, {self.fields!r})"


class Unshowable:
    def __repr__(self) -> str:
        raise Answering


@dataclasses.dataclass
class Record:
    x: int = 1


ODD: tuple[Any, ...] = (
    object(),
    {1, 2},
    {1, frozenset({2})},
    frozenset(),
    1j,
    decimal.Decimal("1.5"),
    fractions.Fraction(1, 3),
    datetime.date(2024, 1, 1),
    datetime.time(1),
    datetime.timedelta(1),
    bytearray(b"x"),
    memoryview(b"x"),
    range(3),
    iter([1]),
    (n for n in ()),
    int,
    Eager,
    len,
    re,
    ...,
    NotImplemented,
    Record(),
    Record,
    collections.deque([1]),
    {}.keys(),
    {"a": 1}.items(),
    uuid,
    Eager(),
    Refusing(),
    Unshowable(),
    ValueError("x"),
    unittest.mock.MagicMock(),
    unittest.mock.Mock(spec=re.Pattern),
    unittest.mock.Mock(spec=uuid.UUID),
    unittest.mock.Mock(spec=dict),
    unittest.mock.Mock(spec=datetime.datetime),
    numpy.int8(1),
    numpy.int64(2**40),
    numpy.uint64(2**63),
    numpy.float32(1.5),
    numpy.float64(1.5),
    numpy.float64("nan"),
    numpy.bool_(True),
    numpy.str_("é"),
    numpy.bytes_(b"x"),
    numpy.datetime64("2024-01-01"),
    numpy.complex128(1j),
    numpy.array([1, 2]),
    numpy.array([1.5]),
    numpy.array(3),
    numpy.array(["a"], dtype=object),
    numpy.void(b"x"),
    [numpy.float64(1.5), numpy.int32(1)],
)
