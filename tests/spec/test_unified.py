"""MongoDB's unified test format: every file that a replica set can run, on both APIs."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from bson.json_util import loads
from tests.drivers import both_drivers
from tests.parity.spec_files import SPECS
from tests.spec.known import FAILING, FOLDERS
from tests.spec.unified.match import EXTENDED_JSON, Unsupported
from tests.spec.unified.requirements import Deployment
from tests.spec.unified.runner import Runner

pytestmark = pytest.mark.skipif(
    not SPECS.exists(), reason=f"no specification files in {SPECS}: set FERROMONGO_SPECS"
)


def cases(folders: list[str]) -> Iterator[Any]:
    for folder in folders:
        for path in sorted((SPECS / folder).glob("*.json")):
            for index, test in enumerate(json.loads(path.read_text())["tests"]):
                name = f"{folder.split('/')[0]}/{path.stem}: {test['description']}"
                marks = []
                if name in FAILING:
                    marks = [pytest.mark.xfail(reason=FAILING[name], strict=True)]
                yield pytest.param(path, index, id=name, marks=marks)


@pytest.fixture(scope="session")
def deployment(mongodb_uri: str) -> Iterator[Deployment]:
    deployment = Deployment(mongodb_uri)
    yield deployment
    deployment.close()


@pytest.mark.parametrize(("path", "index"), list(cases(FOLDERS)))
@both_drivers
async def test_unified(driver: Any, deployment: Deployment, path: pathlib.Path, index: int) -> None:
    file = loads(path.read_text(), json_options=EXTENDED_JSON)
    test = file["tests"][index]
    reason = test.get("skipReason")
    for requirements in (file.get("runOnRequirements", []), test.get("runOnRequirements", [])):
        reason = reason or deployment.why_not(requirements)
    if reason is not None:
        pytest.skip(reason)
    try:
        await Runner(driver, deployment).run(file, test)
    except Unsupported as reason:
        pytest.skip(str(reason))
