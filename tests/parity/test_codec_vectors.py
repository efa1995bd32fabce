"""Official binary vectors, whole: `bson.Binary` makes and reads them, the codec carries them."""

from __future__ import annotations

import struct
from typing import Any

import bson
import pytest
from bson.binary import Binary, BinaryVectorDtype
from tests.parity.beside_bson import both_decode, both_encode, decode, encode
from tests.parity.spec_files import file_names, needed, scenarios

FILES = scenarios("bson-binary-vector")

pytestmark = needed(FILES)


def cases(valid: bool) -> Any:
    return pytest.mark.parametrize(
        ("case", "key"),
        [
            pytest.param(case, content["test_key"], id=f"{name}-{case['description']}")
            for name, content in FILES.items()
            for case in content["tests"]
            if case["valid"] is valid
        ],
    )


@cases(valid=True)
def test_valid_vectors(case: dict[str, Any], key: str) -> None:
    data = bytes.fromhex(case["canonical_bson"])
    made = Binary.from_vector(numbers(case), dtype(case), case["padding"])
    assert both_encode({key: made})[0] == "ok"
    assert encode({key: made}) == data
    assert both_decode(data)[0] == "ok"
    read = decode(data)[key]
    assert read == made
    assert read.subtype == bson.binary.VECTOR_SUBTYPE
    vector = read.as_vector()
    assert (vector.dtype, vector.padding) == (dtype(case), case["padding"])
    # A float32 holds 127.7 only nearly.
    form = f"<{len(vector.data)}{'f' if dtype(case) is BinaryVectorDtype.FLOAT32 else 'i'}"
    assert struct.pack(form, *vector.data) == struct.pack(form, *numbers(case))


@cases(valid=False)
def test_invalid_vectors(case: dict[str, Any], key: str) -> None:
    if "vector" in case:
        with pytest.raises((ValueError, TypeError, struct.error)):
            Binary.from_vector(numbers(case), dtype(case), case["padding"])
    if "canonical_bson" in case:
        # Any binary data are fine with the codec; it is their reading as a vector that fails.
        data = bytes.fromhex(case["canonical_bson"])
        assert both_decode(data)[0] == "ok"
        read = decode(data)
        assert encode(read) == data
        with pytest.raises((ValueError, struct.error)):
            read[key].as_vector()


def test_every_file_is_run() -> None:
    assert file_names("bson-binary-vector") == {*FILES}
    assert {*FILES} >= {"float32.json", "int8.json", "packed_bit.json"}
    assert all(content["tests"] for content in FILES.values())


def dtype(case: dict[str, Any]) -> BinaryVectorDtype:
    return BinaryVectorDtype(bytes.fromhex(case["dtype_hex"].removeprefix("0x")))


def numbers(case: dict[str, Any]) -> list[Any]:
    return [
        float(number["$numberDouble"]) if isinstance(number, dict) else number
        for number in case["vector"]
    ]
