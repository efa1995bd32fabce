"""Nothing leaks, and the garbage collector stays as it was."""

from __future__ import annotations

import gc
import struct
import tracemalloc

import bson
from tests.parity.beside_bson import decode, encode, outcome
from tests.parity.sample_bytes import CRAFTED, element
from tests.parity.sample_values import AUTO, READABLE


def test_nothing_leaks() -> None:
    data = bson.encode(READABLE, codec_options=AUTO)
    broken = [
        data[: len(data) // 2] + b"\0" * (len(data) - len(data) // 2),
        element(2, struct.pack("<i", 4) + b"a\xff\xfe\0"),
    ]

    def work() -> None:
        for _ in range(20):
            decode(encode(decode(data, AUTO), options=AUTO), AUTO)
            for piece in broken:
                outcome(decode, piece)
            outcome(encode, {"a": {"b": [1, object()]}})

    work()
    gc.collect()
    tracemalloc.start()
    work()
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        work()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 10_000


def test_the_collector_stays_as_it_was() -> None:
    data = CRAFTED["large"]
    decode(data)
    assert gc.isenabled()
    gc.disable()
    try:
        decode(data)
        assert not gc.isenabled()
    finally:
        gc.enable()
    outcome(decode, data[:-2] + b"\1\0")
    assert gc.isenabled()
