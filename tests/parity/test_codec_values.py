"""Every type under every option: the codec gives the same bytes, values and errors as `bson`."""

from __future__ import annotations

import copy
import pickle
import uuid
from typing import Any

import bson
import pytest
from bson.binary import Binary
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from tests.parity.beside_bson import both_decode, both_encode, decode, shape
from tests.parity.sample_options import OPTIONS
from tests.parity.sample_values import AUTO, READABLE, VALUES


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
