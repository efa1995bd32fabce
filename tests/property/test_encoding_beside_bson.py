"""Whatever is encoded, under whatever options: `bson` gives the same bytes or the same error."""

from __future__ import annotations

from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import given, note
from tests.property.choices import seeds
from tests.property.codec_choices import codec_options
from tests.property.python_values import ValueMaker

from ferromongo import bson as rust


@given(seeds)
def test_any_document(seed: bytes) -> None:
    maker = ValueMaker(seed)
    options, check_keys = codec_options(maker), maker.rarely(8)
    encode_alike(maker.document(), options, check_keys)


@given(seeds)
def test_many_integers(seed: bytes) -> None:
    maker = ValueMaker(seed)
    encode_alike({"v": [maker.integer() for _ in range(8)]})


@given(seeds)
def test_many_dates(seed: bytes) -> None:
    maker = ValueMaker(seed)
    encode_alike({"v": [maker.date().replace(fold=maker.below(2)) for _ in range(4)]})


@given(seeds)
def test_many_strings(seed: bytes) -> None:
    maker = ValueMaker(seed)
    encode_alike({"v": [maker.any_text() for _ in range(4)], maker.text(): 1})


def encode_alike(
    document: Any, options: CodecOptions[Any] = bson.DEFAULT_CODEC_OPTIONS, check_keys: bool = False
) -> None:
    ours, theirs = (
        attempt(encode, document, check_keys, options) for encode in (rust.encode, bson.encode)
    )
    if ours != theirs:
        note(f"{document!r}\n{options}\n{check_keys=}")
    assert ours == theirs


def attempt(encode: Any, document: Any, check_keys: bool, options: Any) -> Any:
    """The bytes, or the error's type and whether it names the document."""
    try:
        return encode(document, check_keys, options)
    except bson.errors.InvalidDocument as error:
        return type(error), "the document" if error.document is document else error.document
    except Exception as error:
        return type(error)
