"""The runner's own tests: what is wrong in a file must make it fail, and for that reason."""

import json
from typing import Any

import pytest
from bson.json_util import loads
from tests.drivers import both_drivers
from tests.parity.spec_files import SPECS
from tests.spec.unified.deployments import Deployments
from tests.spec.unified.match import EXTENDED_JSON
from tests.spec.unified.runner import Runner

FOLDER = SPECS / "unified-test-format/tests/valid-fail"
# A part of the exception's text.
FAILS_BY = {
    "assertNumberConnectionsCheckedOut": "client|connections",
    "entity-bucket-database-undefined": "foo",
    "entity-client-apiVersion-unsupported": "server_will_never_support_this_api_version",
    "entity-collection-database-undefined": "foo",
    "entity-database-client-undefined": "foo",
    "entity-findCursor": "did not fail|no document|came to its end|cursor0",
    "entity-findCursor-malformed": "filter",
    "entity-session-client-undefined": "foo",
    "ignoreResultAndError": "duplicate key",
    "ignoreResultAndError-malformed": "foo",
    "operation-failure": "unknown|unrecognized|no such|unsupported",
    "operation-unsupported": "unsupportedOperation",
    "operator-matchAsDocument": "is not 'two'|is no document|there is|delimiter",
    "operator-matchAsRoot": "2 is not 3",
    "returnDocument-enum-invalid": "invalid",
    "schemaVersion-unsupported": "schema version",
}
# They need automatic encryption.
LEFT_OUT = "kmsProviders-"


def cases() -> list[Any]:
    return [
        pytest.param(path, index, id=f"{path.stem}: {test['description']}")
        for path in sorted(FOLDER.glob("*.json"))
        if not path.stem.startswith(LEFT_OUT)
        for index, test in enumerate(json.loads(path.read_text())["tests"])
    ]


pytestmark = pytest.mark.skipif(
    not cases(), reason=f"no specification files in {SPECS}: set FERROMONGO_SPECS"
)


@pytest.mark.parametrize(("path", "index"), cases())
@both_drivers
async def test_a_wrong_file_fails(
    driver: Any, deployments: Deployments, path: Any, index: int
) -> None:
    file = loads(path.read_text(), json_options=EXTENDED_JSON)
    with pytest.raises(Exception, match=f"(?i){FAILS_BY[path.stem]}"):
        await Runner(driver, deployments.meeting()).run(file, file["tests"][index])
