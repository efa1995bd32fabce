"""Whatever bytes are decoded, under whatever options: `bson` makes the same value, of the same
types, or raises the same error."""

from __future__ import annotations

import struct
from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import given, note
from tests.parity.beside_bson import outcome
from tests.property.bson_bytes import ByteMaker, close
from tests.property.choices import seeds
from tests.property.codec_choices import codec_options
from tests.property.python_values import ValueMaker

from ferromongo import bson as rust


@given(seeds)
def test_what_an_encoder_wrote(seed: bytes) -> None:
    maker = ValueMaker(seed)
    options = codec_options(maker)
    decode_alike(maker.encoded(), options)


@given(seeds)
def test_damaged_documents(seed: bytes) -> None:
    maker = ValueMaker(seed)
    options = codec_options(maker)
    document = maker.encoded()
    decode_alike(ByteMaker(maker.rest() or seed).damaged(document), options)


@given(seeds)
def test_documents_of_plausible_pieces(seed: bytes) -> None:
    maker = ByteMaker(seed)
    options = codec_options(maker)
    decode_alike(maker.soup(), options)


@given(seeds)
def test_noise(seed: bytes) -> None:
    data = seed[1 : 1 + seed[0] % 100]
    decode_alike(data)
    decode_alike(close(b"1234" + data + b"\0"))


@given(seeds)
def test_many_dates(seed: bytes) -> None:
    maker = ByteMaker(seed)
    options = codec_options(maker).with_options(document_class=dict)
    dates = (struct.pack("<q", maker.milliseconds()) for _ in range(4))
    decode_alike(maker.array(b"\x09", dates), options)


@given(seeds)
def test_many_binaries(seed: bytes) -> None:
    maker = ByteMaker(seed)
    options = codec_options(maker)
    decode_alike(maker.array(b"\x05", (maker.binary() for _ in range(4))), options)


@given(seeds)
def test_a_sequence_of_documents(seed: bytes) -> None:
    maker = ByteMaker(seed)
    options = codec_options(maker)
    data = b"".join(maker.soup() for _ in range(maker.below(4))) + maker.bytes(maker.below(2))
    alike(rust.decode_all, bson.decode_all, data, options)
    alike(rust.is_valid, bson.is_valid, data)


def decode_alike(data: bytes, options: CodecOptions[Any] = bson.DEFAULT_CODEC_OPTIONS) -> None:
    alike(rust.decode, bson.decode, data, options)


def alike(one: Any, other: Any, *arguments: Any) -> None:
    ours, theirs = outcome(one, *arguments), outcome(other, *arguments)
    if ours != theirs:
        note(f"{arguments!r}")
    assert ours == theirs
