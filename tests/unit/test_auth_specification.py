"""MongoDB's official connection strings with credentials: `auth/tests/legacy`.

The `unified` folder beside it is about MONGODB-OIDC, which is refused by name.
"""

import json
from typing import Any

import pytest
from pymongo.errors import ConfigurationError
from tests.parity.spec_files import SPECS, needed

from ferromongo import MongoClient
from ferromongo._calls.client_settings import client_settings

FILE = SPECS / "auth/tests/legacy/connection-string.json"
CASES = json.loads(FILE.read_text())["tests"] if FILE.exists() else []
NOT_YET = ("GSSAPI", "MONGODB-AWS", "MONGODB-OIDC")


@needed(CASES)
def test_there_are_cases() -> None:
    assert len(CASES) > 50


@pytest.mark.filterwarnings("ignore:.*mechanism property")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["description"])
def test_connection_string(case: dict[str, Any]) -> None:
    expected = case.get("credential")
    if not case["valid"]:
        with pytest.raises((ConfigurationError, ValueError)):
            settings(case["uri"])
    elif expected is None:
        assert settings(case["uri"]).engine["credentials"] is None
    elif expected["mechanism"] in NOT_YET:
        with pytest.raises(
            ConfigurationError, match=f"support authMechanism={expected['mechanism']}"
        ):
            settings(case["uri"])
    else:
        mechanism, *rest = settings(case["uri"]).engine["credentials"]
        assert mechanism == (expected["mechanism"] or "DEFAULT")
        assert rest == [expected["source"], expected["username"], expected["password"]]
        with MongoClient(case["uri"], connect=False) as client:
            assert "password" not in repr(client)


def settings(uri: str) -> Any:
    return client_settings(
        uri, None, {}, default_host="localhost", default_port=27017, is_sync=True
    )
