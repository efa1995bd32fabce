"""Any document survives the codec, and any bytes are read as PyMongo reads them or refused."""

from __future__ import annotations

import datetime
import math
import uuid
from typing import Any

import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from hypothesis import given, settings
from hypothesis import strategies as st

from ferromongo import _core

OPTIONS: CodecOptions[Any] = CodecOptions(uuid_representation=4)

keys = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
millisecond_dates = st.datetimes().map(
    lambda date: date.replace(microsecond=date.microsecond // 1000 * 1000)
)
uint32 = st.integers(0, 2**32 - 1)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(bson.Int64),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.builds(Binary, st.binary(min_size=1), st.sampled_from([1, 2, 5, 6, 9, 128, 255])),
    st.binary(min_size=12, max_size=12).map(bson.ObjectId),
    millisecond_dates,
    st.uuids(),
    st.builds(bson.Timestamp, uint32, uint32),
    st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)).map(bson.Decimal128),
    st.builds(bson.Regex, keys, st.sets(st.sampled_from("ilmsux")).map("".join)),
    st.text(st.characters(exclude_categories=["Cs"])).map(bson.Code),
    st.sampled_from([bson.MinKey(), bson.MaxKey()]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=12),
        st.dictionaries(keys.filter(lambda key: not key.startswith("$")), inner, max_size=12),
        st.builds(bson.DBRef, keys, inner),
        st.builds(
            lambda code, scope: bson.Code(code, scope),
            keys,
            st.dictionaries(keys.filter(lambda key: not key.startswith("$")), inner, max_size=3),
        ),
    ),
    max_leaves=30,
)
documents = st.dictionaries(keys, values, max_size=15)


def encode(document: Any, options: CodecOptions[Any] = OPTIONS) -> bytes:
    return _core.encode(document, False, options)


def decode(data: bytes, options: CodecOptions[Any] = OPTIONS) -> Any:
    return _core.decode(data, options)


@given(documents)
def test_a_document_comes_back(document: dict[str, Any]) -> None:
    data = encode(document)
    assert data == bson.encode(document, codec_options=OPTIONS)
    read = decode(data)
    if "$ref" not in document:
        assert read == bson.decode(data, OPTIONS)
        assert read == document
    assert encode(read) == data


@given(documents)
def test_other_document_classes_hold_the_same(document: dict[str, Any]) -> None:
    data = encode(document)
    ordered = decode(data, OPTIONS.with_options(document_class=SON))
    assert type(ordered) is SON
    assert ordered == bson.decode(data, OPTIONS.with_options(document_class=SON))
    raw = decode(data, OPTIONS.with_options(document_class=RawBSONDocument))
    assert raw.raw == data
    assert encode(raw) == data
    assert encode({"inside": raw}) == encode({"inside": document if "_id" not in document else raw})


@given(st.integers())
def test_integers_choose_their_width(number: int) -> None:
    try:
        expected = bson.encode({"n": number})
    except OverflowError:
        expected = None
    try:
        assert encode({"n": number}) == expected
    except OverflowError:
        assert expected is None


@given(st.datetimes(timezones=st.timezones()))
def test_aware_dates_are_stored_in_utc(date: datetime.datetime) -> None:
    try:
        expected = bson.encode({"d": date})
    except OverflowError:
        expected = None
    try:
        assert encode({"d": date}) == expected
    except OverflowError:
        assert expected is None


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([1, 2, 3, 4]),
    st.one_of(st.none(), st.timezones()),
)
def test_any_milliseconds_read_alike(
    millis: int, conversion: int, zone: datetime.tzinfo | None
) -> None:
    options: CodecOptions[Any] = CodecOptions(
        tz_aware=zone is not None, tzinfo=zone, datetime_conversion=conversion
    )
    data = bson.encode({"d": bson.DatetimeMS(millis)})
    try:
        expected = bson.decode(data, options)
    except bson.errors.InvalidBSON:
        expected = None
    try:
        assert decode(data, options) == expected
    except bson.errors.InvalidBSON:
        assert expected is None


@given(st.uuids(), st.sampled_from([3, 4, 5, 6]))
def test_uuids_in_every_byte_order(value: uuid.UUID, representation: int) -> None:
    options: CodecOptions[Any] = CodecOptions(uuid_representation=representation)
    data = bson.encode({"u": value}, codec_options=options)
    assert encode({"u": value}, options) == data
    assert decode(data, options) == {"u": value}


@given(st.binary())
def test_random_bytes_are_refused_or_read_alike(data: bytes) -> None:
    read_alike(data)
    read_alike((len(data) + 5).to_bytes(4, "little") + data + b"\0")


@given(documents, st.data())
@settings(deadline=None)
def test_damaged_documents_are_refused_or_read_alike(
    document: dict[str, Any], data: st.DataObject
) -> None:
    whole = bytearray(encode(document))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    read_alike(bytes(whole))
    read_alike(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def read_alike(data: bytes) -> None:
    try:
        read = decode(data)
    except bson.errors.InvalidBSON:
        return
    assert comparable(read) == comparable(bson.decode(data, OPTIONS))


def comparable(value: Any) -> Any:
    """NaN is not equal to itself; everything else compares as it is, with its type."""
    if isinstance(value, dict):
        return dict, [(key, comparable(item)) for key, item in value.items()]
    if isinstance(value, list):
        return list, [comparable(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return float, "nan"
    if isinstance(value, bson.DBRef):
        return (
            bson.DBRef,
            value.collection,
            comparable(value.id),
            value.database,
            comparable(value._DBRef__kwargs),
        )
    if isinstance(value, bson.Code):
        return bson.Code, str(value), comparable(value.scope)
    return type(value), value
