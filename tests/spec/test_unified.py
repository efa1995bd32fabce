"""MongoDB's unified test format: every file that a mongod can run.

By default each test runs on one API, by turns, of some folders a part (`known.SAMPLED`), and on the
replica set of the session: a fifth of the time. FERROMONGO_UNIFIED=all (`make unified`) runs all
tests on both APIs, starts a standalone and a server that authenticates for those that want them,
and ends with a table of the folders and of the reasons for what was skipped.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from bson.json_util import loads
from tests.drivers import DRIVER_NAME, AsyncDriver, SyncDriver, both_drivers
from tests.parity.spec_files import SPECS
from tests.spec.known import (
    FAILING,
    FAILING_ON_PYMONGO,
    FOLDERS,
    NOT_RUN,
    RUN_ALL,
    SAMPLED,
    SKIPPED,
    as_pymongo_asks,
)
from tests.spec.unified.deployments import Deployments
from tests.spec.unified.match import EXTENDED_JSON, Unsupported
from tests.spec.unified.runner import Runner


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
    if DRIVER_NAME == "pymongo" and name in FAILING_ON_PYMONGO:
        yield pytest.mark.xfail(reason=FAILING_ON_PYMONGO[name], strict=True)
    for start, reason in SKIPPED.items():
        if name.startswith(start):
            yield pytest.mark.skip(reason=reason)


CASES = list(cases())
ATTEMPTS = {
    # Here a limit of 100 ms must be over after two pauses of 60 and not after one.
    SPECS / "client-side-operations-timeout/tests": 3,
    # Here two checks of the server, half a second each, must end within a query of two seconds.
    SPECS / "server-discovery-and-monitoring/tests/unified/interruptInUse-pool-clear.json": 3,
}

pytestmark = pytest.mark.skipif(
    not CASES, reason=f"no specification files in {SPECS}: set FERROMONGO_SPECS"
)


@pytest.mark.parametrize(("driver", "path", "index"), CASES)
@both_drivers
async def test_unified(
    driver: Any, request: Any, deployments: Deployments, path: pathlib.Path, index: int
) -> None:
    file = loads(path.read_text(), json_options=EXTENDED_JSON)
    test = file["tests"][index]
    if path.stem.startswith("gridfs-download"):
        test["expectEvents"] = as_pymongo_asks(test.get("expectEvents", []))
    if (reason := test.get("skipReason")) is not None:
        pytest.skip(reason)
    requirements = [part.get("runOnRequirements", []) for part in (file, test)]
    deployment = deployments.meeting(*requirements)
    if isinstance(deployment, str):
        pytest.skip(deployment)
    known = request.node.get_closest_marker("xfail")
    for attempts_left in reversed(
        range(1 if known else ATTEMPTS.get(path.parent, ATTEMPTS.get(path, 1)))
    ):
        try:
            return await Runner(driver, deployment).run(file, test)
        except Unsupported as unsupported:
            pytest.skip(str(unsupported))
        except Exception:
            if not attempts_left:
                raise


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
    for known in (*FAILING, *FAILING_ON_PYMONGO, *SKIPPED):
        assert any(known in name for name in names), known
