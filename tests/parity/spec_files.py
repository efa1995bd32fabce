"""Where the official specification files are: FERROMONGO_SPECS, or beside the checkout."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Collection
from typing import Any

import pytest

SPECS = pathlib.Path(
    os.environ.get("FERROMONGO_SPECS", pathlib.Path(__file__).parents[2] / "../shared/specs")
)


def scenarios(folder: str) -> dict[str, Any]:
    """What each JSON file of a specification's folder holds, by file name."""
    return {
        path.name: json.loads(path.read_text()) for path in sorted(_tests(folder).glob("*.json"))
    }


def file_names(folder: str) -> set[str]:
    """Every file there is, whatever its kind."""
    tests = _tests(folder)
    return {str(path.relative_to(tests)) for path in tests.rglob("*") if path.is_file()}


def needed(found: Collection[Any]) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not found, reason=f"no specification files in {SPECS}: set FERROMONGO_SPECS"
    )


def _tests(folder: str) -> pathlib.Path:
    return SPECS / folder / "tests"
