"""numpy's values: subclasses of Python's own types are written as these, all others are refused."""

from __future__ import annotations

from typing import Any

import bson
import numpy
import pytest
from tests.parity.beside_bson import both_encode, decode, encode

SCALARS = [
    *(kind(1) for kind in (numpy.int8, numpy.int32, numpy.int64, numpy.uint64, numpy.float32)),
    *(numpy.float64(value) for value in (1.5, "nan", "inf")),
    *(numpy.bool_(True), numpy.str_("é"), numpy.bytes_(b"x"), numpy.complex128(1j)),
    *(numpy.datetime64("2024-01-01"), numpy.timedelta64(1, "s"), numpy.void(b"x")),
]
ARRAYS = [
    *(numpy.array(items) for items in ([], [1, 2], [[1.5], [2.5]], ["a"], [None])),
    *(numpy.array(3), numpy.array([1, "a"], dtype=object), numpy.ma.array([1], mask=[True])),
]


@pytest.mark.parametrize("value", [*SCALARS, *ARRAYS], ids=repr)
def test_as_pymongo_does(value: Any) -> None:
    for document in ({"v": value}, {"v": [value]}, {"v": {"w": value}}):
        both_encode(document)
        both_encode(document, True)


def test_what_is_written_and_what_is_refused() -> None:
    assert decode(encode({"v": [numpy.float64(1.5), numpy.str_("é")]})) == {"v": [1.5, "é"]}
    for value in (numpy.int64(1), numpy.array([1])):
        with pytest.raises(bson.errors.InvalidDocument, match="cannot encode object"):
            encode({"v": value})


def test_keys_and_buffers() -> None:
    both_encode({numpy.str_("key"): 1})
    data = numpy.frombuffer(bson.encode({"a": 1}), dtype=numpy.uint8)
    assert decode(data) == bson.decode(data) == {"a": 1}
