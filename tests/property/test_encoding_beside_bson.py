"""Whatever is encoded, under whatever options: `bson` gives the same bytes or the same error."""

from __future__ import annotations

from typing import Any

import bson
from hypothesis import given, note

from ferromongo import _core
from tests.property.choices import seeds
from tests.property.codec_choices import codec_options
from tests.property.known_differences import is_known
from tests.property.python_values import ValueMaker


@given(seeds)
def test_encoding(seed: bytes) -> None:
    maker = ValueMaker(seed)
    options, check_keys = codec_options(maker), maker.rarely(8)
    document = maker.document()
    ours, theirs = (
        attempt(encode, document, check_keys, options) for encode in (_core.encode, bson.encode)
    )
    if ours != theirs and not is_known(ours, theirs):
        note(f"{document!r}\n{options}\n{check_keys=}")
        assert ours == theirs


def attempt(encode: Any, document: Any, check_keys: bool, options: Any) -> Any:
    """The bytes, or the error's type and whether it names the document."""
    try:
        return encode(document, check_keys, options)
    except bson.errors.InvalidDocument as error:
        named = error.document
        return type(error), "the document" if named is document else named
    except Exception as error:
        return type(error)
