"""Reference counts, memory and garbage are after a call as they were before, however it ended."""

from __future__ import annotations

import datetime
import gc
import sys
import tracemalloc
import uuid
from collections.abc import Callable
from typing import Any

import bson
import pytest
from bson.binary import Binary
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from tests.parity.beside_bson import decode, encode
from tests.parity.codec_faults import BAD_BYTES, BAD_VALUES, PLACES, READING, REFUSING, Asked
from tests.parity.sample_options import OPTIONS, REGISTRIES, Money
from tests.parity.sample_values import AUTO, READABLE, AnyMutableMapping

SHARED: list[Any] = [
    *(bson.ObjectId, bson.Timestamp, bson.Decimal128, bson.Regex, bson.DBRef, bson.Int64),
    *(bson.Code, bson.MinKey, bson.MaxKey, Binary, DatetimeMS, RawBSONDocument, SON),
    *(bson.errors.InvalidBSON, bson.errors.InvalidDocument, bson.errors.InvalidStringData),
    *(uuid.UUID, uuid.SafeUUID.unknown, datetime.datetime, datetime.UTC, bson.utc),
    *(dict, list, str, bytes, int, float, bool, tuple),
    *(UnicodeDecodeError, UnicodeEncodeError, OverflowError, RecursionError, TypeError, ValueError),
    *(None, True, False, "", "a", "_id", "$ref", "$id", "$db"),
    AnyMutableMapping,
]
CALLS = 50


def quietly(function: Callable[..., Any], *arguments: Any) -> None:
    try:
        function(*arguments)
    except Exception as error:
        error.__traceback__ = None


def assert_keeps_nothing(function: Callable[..., Any], cases: list[Any], *further: Any) -> None:
    """`function(case, *further)`, many times for each case, leaves all reference counts alone."""
    watched = [*SHARED, *further]
    for case in cases:
        watched += [part for part in parts(case) if not is_small_number(part)]

    def run(times: int) -> list[int]:
        for case in cases:
            for _ in range(times):
                quietly(function, case, *further)
        gc.collect()
        return [sys.getrefcount(thing) for thing in watched]

    before = run(2)
    after = run(CALLS)
    drifts = {
        f"{position}: {type(thing)}": now - then
        for position, (thing, then, now) in enumerate(zip(watched, before, after, strict=True))
        if abs(now - then) > CALLS // 2
    }
    assert drifts == {}


def is_small_number(thing: Any) -> bool:
    """Small numbers are shared, and the reference counts kept here are such numbers."""
    return type(thing) is int and -5 <= thing <= 256


def parts(value: Any) -> list[Any]:
    """The value and what it is made of."""
    found = [value]
    if isinstance(value, dict):
        for key, item in value.items():
            found += [key, *parts(item)]
    elif isinstance(value, (list, tuple)):
        for item in value:
            found += parts(item)
    return found


@pytest.mark.parametrize("place", PLACES)
def test_encoding_keeps_no_reference(place: str) -> None:
    cases = [PLACES[place](value) for value in READABLE.values()]
    assert_keeps_nothing(encode, cases, False, AUTO)


@pytest.mark.parametrize("options", OPTIONS)
def test_decoding_keeps_no_reference(options: str) -> None:
    members = [{"v": value, "l": [value], "d": {"v": value}} for value in READABLE.values()]
    cases = [bson.encode(member, codec_options=AUTO) for member in members]
    assert_keeps_nothing(decode, cases, OPTIONS[options])


@pytest.mark.parametrize("registry", REGISTRIES)
def test_type_codecs_keep_no_reference(registry: str) -> None:
    options = AUTO.with_options(type_registry=REGISTRIES[registry])
    documents = [{"v": [value]} for value in (1j, {1, 2}, Money(5), frozenset(), "bad", "x")]
    assert_keeps_nothing(encode, documents, False, options)
    readable = [bson.encode({"v": [text]}) for text in ("bad", "x", bson.Decimal128("1"))]
    assert_keeps_nothing(decode, readable, options)


@pytest.mark.parametrize("place", PLACES)
def test_refusing_a_value_keeps_no_reference(place: str) -> None:
    cases = [PLACES[place](value) for value in BAD_VALUES.values()]
    assert_keeps_nothing(encode, cases, False, CodecOptions())
    for options in REFUSING.values():
        assert_keeps_nothing(encode, [PLACES[place](Asked())], False, options)


@pytest.mark.parametrize("options", READING)
def test_refusing_bytes_keeps_no_reference(options: str) -> None:
    cases = [data for data in BAD_BYTES.values() if len(data) < 2000]
    assert_keeps_nothing(decode, cases, READING[options])


def test_what_is_no_document_keeps_no_reference() -> None:
    cases = [5, None, "text", [1], object()]
    assert_keeps_nothing(encode, cases, False, CodecOptions())
    assert_keeps_nothing(decode, cases, CodecOptions())
    assert_keeps_nothing(lambda options: encode({}, options=options), cases)


def test_neither_memory_nor_garbage_grows() -> None:
    data = bson.encode(READABLE, codec_options=AUTO)

    def everything() -> None:
        for options in (AUTO, *REFUSING.values()):
            for place in PLACES.values():
                for value in (*BAD_VALUES.values(), Asked()):
                    quietly(encode, place(value), False, options)
        for options in READING.values():
            quietly(decode, data, options)
            for bad in BAD_BYTES.values():
                if len(bad) < 1000:
                    quietly(decode, bad, options)
        quietly(encode, READABLE, False, AUTO)
        decode(data, AUTO)  # the last options used are kept: always the same ones here

    everything()
    everything()
    gc.collect()
    tracemalloc.start()
    try:
        everything()
        gc.collect()
        objects, (before, _) = len(gc.get_objects()), tracemalloc.get_traced_memory()
        for _ in range(3):
            everything()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        assert len(gc.get_objects()) - objects < 50
        assert after - before < 20_000
        assert gc.garbage == []
    finally:
        tracemalloc.stop()
