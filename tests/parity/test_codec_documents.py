"""Documents as a whole: where `_id` goes, errors that name them, nesting, kinds of input."""

from __future__ import annotations

import collections
import datetime
import gc
import re
from typing import Any

import bson
import pytest
from bson.son import SON
from tests.parity.beside_bson import both_decode, both_encode, decode, encode, outcome
from tests.parity.sample_bytes import nested
from tests.parity.sample_values import AnyMapping


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
