"""Type codecs and the fallback encoder."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions, TypeRegistry
from tests.parity.beside_bson import decode, encode, outcome
from tests.parity.sample_options import REGISTRIES, Money
from tests.parity.sample_values import Eager, Number, shown


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=REGISTRIES)
@pytest.mark.parametrize(
    "value",
    [
        Money(1234),
        {1, 2},
        1j,
        2**70,
        Number(2**70),
        object(),
        frozenset(),
        Eager(),
        "text",
        "bad",
        {"in": [Money(5), "text"]},
    ],
    ids=shown,
)
def test_type_codecs(value: Any, registry: TypeRegistry) -> None:
    options = CodecOptions(type_registry=registry)
    kind, encoded = outcome(encode, {"v": value}, False, options)
    assert kind == outcome(bson.encode, {"v": value}, False, options)[0]
    for document in ({"v": value}, {"v": {"w": [value]}}):
        kind, encoded = outcome(encode, document, False, options)
        assert (kind, encoded) == outcome(bson.encode, document, False, options)
        if kind == "ok":
            ours, theirs = (
                outcome(decode, encoded[1], options),
                outcome(bson.decode, encoded[1], options),
            )
            assert ours[0] == theirs[0]
            if ours[0] == "raised":
                assert ours == theirs
            else:
                assert decode(encoded[1], options) == bson.decode(encoded[1], options)
