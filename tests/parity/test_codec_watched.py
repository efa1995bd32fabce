"""The codec in interpreters that watch it: allocations that fail, memory with fences, `-X dev`."""

import importlib.util
import json

import pytest
from tests.parity.programs import run


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python has no _testcapi"
)
def test_want_of_memory_is_a_memory_error() -> None:
    assert "MemoryError" in run("without_memory")


def test_no_memory_is_touched_that_is_not_ours() -> None:
    """Freed memory is overwritten and blocks have fences: a stray read or write shows."""
    printed = run("every_case", "-X", "dev", "-W", "error", PYTHONMALLOC="debug")
    assert printed == "done\n"


@pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python has no _testcapi"
)
def test_out_of_memory_at_the_first_use_raises_memory_error() -> None:
    assert "MemoryError" in run("first_use_without_memory")


REPLACED = {
    "slot_of_another_class": ["TypeError", "TypeError"],
    "property_for_a_slot": ["done: bytes", "AttributeError"],
    "object_id_of_a_built_in": ["TypeError", "TypeError"],
    "int64_of_nothing": ["TypeError", "TypeError"],
    "int64_with_a_dict": ["done: bytes", "done: str"],
    "binary_of_text": ["TypeError", "TypeError"],
    "code_of_a_list": ["TypeError", "TypeError"],
}


@pytest.mark.parametrize("way", REPLACED)
def test_unsuitable_replacements_of_bson_classes_raise_type_error(way: str) -> None:
    printed = run("replaced_classes", PYTHONMALLOC="debug", REPLACED=way)
    assert json.loads(printed) == REPLACED[way]
