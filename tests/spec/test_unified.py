"""MongoDB's unified test format: every file that a replica set can run.

By default each test runs on one API, by turns, and of some folders a part: a fifth of the time.
FERROMONGO_UNIFIED=all runs all tests on both APIs.
"""

import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from bson.json_util import loads
from tests.drivers import AsyncDriver, SyncDriver, both_drivers
from tests.parity.spec_files import SPECS
from tests.spec.known import (
    FAILING,
    FOLDERS,
    NOT_RUN,
    SAMPLED,
    SKIPPED,
    UNSTEADY,
    as_pymongo_asks,
)
from tests.spec.unified.match import EXTENDED_JSON, Unsupported
from tests.spec.unified.requirements import Deployment
from tests.spec.unified.runner import Runner

RUN_ALL = os.environ.get("FERROMONGO_UNIFIED") == "all"


def cases() -> Iterator[Any]:
    number = 0
    for folder in FOLDERS:
        for path in sorted((SPECS / folder).glob("*.json")):
            for index, test in enumerate(json.loads(path.read_text())["tests"]):
                number += 1
                name = f"{folder.split('/')[0]}/{path.stem}: {test['description']}"
                for driver in drivers(folder, number):
                    name_there = f"{driver.name}-{name}"
                    yield pytest.param(driver(), path, index, id=name_there, marks=[*marks(name)])


def drivers(folder: str, number: int) -> list[type]:
    if RUN_ALL:
        return [SyncDriver, AsyncDriver]
    if folder in SAMPLED:
        return {0: [SyncDriver], 4: [AsyncDriver]}.get(number % 8, [])
    return [[SyncDriver], [AsyncDriver]][number % 2]


def marks(name: str) -> Iterator[Any]:
    if name in FAILING:
        yield pytest.mark.xfail(reason=FAILING[name], strict=True)
    for start, reason in UNSTEADY.items():
        if name.startswith(start):
            yield pytest.mark.xfail(reason=reason, strict=False)
    for start, reason in SKIPPED.items():
        if name.startswith(start):
            yield pytest.mark.skip(reason=reason)


CASES = list(cases())

pytestmark = pytest.mark.skipif(
    not CASES, reason=f"no specification files in {SPECS}: set FERROMONGO_SPECS"
)


@pytest.mark.parametrize(("driver", "path", "index"), CASES)
@both_drivers
async def test_unified(driver: Any, deployment: Deployment, path: pathlib.Path, index: int) -> None:
    file = loads(path.read_text(), json_options=EXTENDED_JSON)
    test = file["tests"][index]
    if path.stem.startswith("gridfs-download"):
        test["expectEvents"] = as_pymongo_asks(test.get("expectEvents", []))
    reason = test.get("skipReason")
    for requirements in (file.get("runOnRequirements", []), test.get("runOnRequirements", [])):
        reason = reason or deployment.why_not(requirements)
    if reason is not None:
        pytest.skip(reason)
    try:
        await Runner(driver, deployment).run(file, test)
    except Unsupported as reason:
        pytest.skip(str(reason))


def test_every_folder_is_run_or_left_out_for_a_reason() -> None:
    found = {
        str(path.parent.relative_to(SPECS))
        for path in SPECS.rglob("*.json")
        if "/tests" in str(path) and b'"schemaVersion"' in path.read_bytes()[:400]
    }
    self_tests = {"unified-test-format/tests/valid-fail"}  # test_runner.py
    assert found == {*FOLDERS, *NOT_RUN, *self_tests}


@pytest.mark.skipif(not RUN_ALL, reason="only some tests are here: set FERROMONGO_UNIFIED=all")
def test_what_is_known_to_fail_is_there() -> None:
    names = [str(case.id) for case in CASES]
    for known in (*FAILING, *SKIPPED, *UNSTEADY):
        assert any(known in name for name in names), known
