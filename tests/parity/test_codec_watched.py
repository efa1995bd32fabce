"""The codec in interpreters that watch it: allocations that fail, memory with fences, `-X dev`."""

import importlib.util

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
