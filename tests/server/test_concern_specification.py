"""MongoDB's official read and write concerns: what connection strings mean, and what is sent.

The files of `read-write-concern/tests` that are not of the unified format.
"""

import contextlib
import json
from typing import Any

import pytest
from pymongo.errors import ConfigurationError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from tests.drivers import both_drivers, package
from tests.listeners import Recorder
from tests.parity.spec_files import SPECS, needed

KEYWORDS = {"wtimeoutMS": "wtimeout", "journal": "j"}
REFUSED = (ConfigurationError, ValueError)


def cases(folder: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['description']}")
        for path in sorted((SPECS / "read-write-concern/tests" / folder).glob("*.json"))
        for case in json.loads(path.read_text())["tests"]
    ]


pytestmark = needed(cases("document"))


@pytest.mark.parametrize("case", cases("connection-string"))
def test_connection_string(case: dict[str, Any]) -> None:
    if not case["valid"]:
        # PyMongo warns of a wrong value, of which the files say nothing, and goes without it.
        warns = case["warning"] is None
        with pytest.warns(UserWarning, match="non negative") if warns else pytest.raises(REFUSED):
            package.MongoClient(case["uri"], connect=False).close()
        return
    with package.MongoClient(case["uri"], connect=False) as client:
        if "readConcern" in case:
            assert client.read_concern.document == case["readConcern"]
        if "writeConcern" in case:
            assert client.write_concern.document == keywords(case["writeConcern"])


@pytest.mark.parametrize("case", cases("document"))
@both_drivers
async def test_what_is_sent(driver: Any, mongodb_uri: str, case: dict[str, Any]) -> None:
    if not case["valid"]:
        with pytest.raises(REFUSED):
            WriteConcern(**keywords(case["writeConcern"]))
        return
    heard = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[heard]) as client:
        collection = client.concerns.items
        # A server may refuse what was sent (no such mode).
        with contextlib.suppress(OperationFailure):
            if "readConcern" in case:
                concern = ReadConcern(**case["readConcern"])
                await collection.with_options(read_concern=concern).find_one()
            else:
                write_concern = WriteConcern(**keywords(case["writeConcern"]))
                collection = collection.with_options(write_concern=write_concern)
                result = await collection.delete_one({"_id": 1})
                assert result.acknowledged is case["isAcknowledged"]
    sent = heard.commands()[0].command
    assert sent.get("readConcern", {}) == case.get("readConcernDocument", {})
    assert sent.get("writeConcern", {}) == case.get("writeConcernDocument", {})


def keywords(concern: dict[str, Any]) -> dict[str, Any]:
    return {KEYWORDS.get(name, name): value for name, value in concern.items()}
