"""Large documents, many documents, and many threads."""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.son import SON
from tests.parity.beside_bson import decode, encode, shape
from tests.parity.sample_options import OPTIONS, REGISTRIES, Money
from tests.parity.sample_values import AUTO, READABLE

MEBIBYTE = 2**20

LARGE: dict[str, Any] = {
    "16 MB": {"rows": [{"n": n, "text": "x" * 1000} for n in range(15_500)]},
    "48 MB": {"parts": [bytes([n]) * MEBIBYTE for n in range(48)]},
    "100,000 fields": {f"field {n}": n for n in range(100_000)},
    "a million items": {"items": list(range(1_000_000))},
    "10 MB of text": {"text": "é" * (5 * MEBIBYTE)},
    "10 MB of key": {"k" * (10 * MEBIBYTE): 1},
}


@pytest.mark.parametrize("document", LARGE)
def test_large_documents(document: str) -> None:
    data = encode(LARGE[document])
    assert data == bson.encode(LARGE[document])
    assert decode(data) == LARGE[document]
    assert decode(bytearray(data)) == LARGE[document]


def test_a_large_document_leaves_no_memory_behind() -> None:
    data = bson.encode(LARGE["16 MB"])
    decode(encode(LARGE["16 MB"]))
    gc.collect()
    tracemalloc.start()
    try:
        decode(encode(decode(data)))
        gc.collect()
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 100_000
    assert peak < 8 * len(data)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_over_a_million_documents() -> None:
    document = bson.encode({"_id": bson.ObjectId(), "name": "a small one", "n": 5, "tags": ["a"]})

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * 4096

    def work(count: int) -> None:
        for _ in range(count):
            decode(document)

    work(50_000)
    gc.collect()
    before = resident()
    work(1_000_000)
    assert resident() - before < 2 * MEBIBYTE


def test_memory_stays_flat_while_field_names_never_repeat() -> None:
    """The table of field names has a fixed size, however many names go by."""
    numbers = iter(range(10**9))

    def work(count: int) -> None:
        for _ in range(count):
            names = [f"name {next(numbers)}" for _ in range(20)]
            assert list(decode(bson.encode(dict.fromkeys(names)))) == names

    work(2000)
    gc.collect()
    tracemalloc.start()
    try:
        work(2000)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        work(4000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 500_000


def test_threads_do_not_disturb_each_other() -> None:
    """Eight threads, each with options and documents of its own, one shared table of names."""
    until = time.monotonic() + 3
    wrong: list[Any] = []
    done = [0] * 8
    registry = AUTO.with_options(type_registry=REGISTRIES["both"])
    choices = list(OPTIONS.values())

    def work(number: int) -> None:
        dice = random.Random(number)
        own = {f"{number} {name}": value for name, value in READABLE.items()}
        for value in own.values():
            hash(repr(value))
        while time.monotonic() < until:
            names = dice.sample(sorted(own), 8)
            document = SON((name, own[name]) for name in names)
            if number % 4 == 3:
                document["money"] = [Money(number), {1, number}, complex(number, 1)]
                options = registry
            else:
                options = AUTO if number % 2 else choices[dice.randrange(len(choices))]
            outcomes = []
            for encoder, decoder in (
                (encode, decode),
                (bson.encode, bson.decode),
            ):
                try:
                    data = encoder(document, False, options)
                    outcomes.append((data, shape(decoder(data, options))))
                except Exception as error:
                    outcomes.append((type(error), None))
                try:
                    decoder(bytes(dice.randrange(256) for _ in range(5)))
                except bson.errors.InvalidBSON:
                    pass
                else:
                    wrong.append("garbage was read")
            if outcomes[0] != outcomes[1]:
                wrong.append((names, outcomes))
            done[number] += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert min(done) > 5
