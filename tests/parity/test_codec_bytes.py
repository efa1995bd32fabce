"""Bytes that no encoder makes: crafted, cut and with flipped bits."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from tests.parity.beside_bson import both_decode, decode, encode, outcome
from tests.parity.sample_bytes import CRAFTED
from tests.parity.sample_options import OPTIONS
from tests.parity.sample_values import VALUES


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("data", CRAFTED.values(), ids=CRAFTED)
def test_bytes_that_no_encoder_makes(data: bytes, options: CodecOptions[Any]) -> None:
    both_decode(data, options)


def test_every_truncation_and_every_flipped_bit_of_a_rich_document() -> None:
    document = {
        name: value
        for name, value in VALUES.items()
        if outcome(encode, {"v": value})[0] == "ok" and len(encode({"v": value})) < 60
    }
    data = bytearray(
        bson.encode({"v": list(document.values())[::2], "w": {"deep": [{"a": 1}, "b"]}})
    )
    for length in range(len(data)):
        assert outcome(decode, bytes(data[:length])) == (
            "raised",
            bson.errors.InvalidBSON,
        )
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            both_decode(bytes(data))
            data[place] ^= 1 << bit
