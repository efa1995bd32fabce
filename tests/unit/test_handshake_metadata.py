"""The handshake's `client` document in many environments: PyMongo's, under ferromongo's own name.

The prose tests of the `mongodb-handshake` specification, as far as they need no server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bson
import pymongo
import pytest
from pymongo import pool_options
from pymongo.driver_info import DriverInfo
from tests.parity.spec_files import file_names

import ferromongo
from ferromongo import AsyncMongoClient, MongoClient

LONG = DriverInfo("framework" * 40, "1.2.3" * 40, "platform" * 40)
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing special": {},
    "AWS": {
        "AWS_LAMBDA_RUNTIME_API": "1",
        "AWS_REGION": "us-east-2",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    },
    "AWS by another name": {"AWS_EXECUTION_ENV": "AWS_Lambda_java8", "AWS_REGION": "r"},
    "AWS, no Lambda": {"AWS_EXECUTION_ENV": "EC2"},
    "Azure": {"FUNCTIONS_WORKER_RUNTIME": "node"},
    "GCP": {
        "K_SERVICE": "servicename",
        "FUNCTION_MEMORY_MB": "1024",
        "FUNCTION_TIMEOUT_SEC": "60",
        "FUNCTION_REGION": "us-central1",
    },
    "Vercel": {"VERCEL": "1", "VERCEL_REGION": "cdg1"},
    "several providers": {"AWS_EXECUTION_ENV": "AWS_Lambda_java8", "FUNCTIONS_WORKER_RUNTIME": "n"},
    "too long": {"AWS_EXECUTION_ENV": "AWS_Lambda_java8", "AWS_REGION": "a" * 512},
    "no number": {
        "AWS_EXECUTION_ENV": "AWS_Lambda_java8",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "big",
    },
    "Kubernetes": {"KUBERNETES_SERVICE_HOST": "1"},
    "Kubernetes and AWS": {"KUBERNETES_SERVICE_HOST": "1", "AWS_LAMBDA_RUNTIME_API": "1"},
    "an agent": {"AI_AGENT": "somebody"},
}
KNOWN = {name for given in ENVIRONMENTS.values() for name in given} | {"FUNCTION_NAME"}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "named": {"appname": "shop", "driver": DriverInfo("Framework", "2.0", "Framework 2")},
    "half named": {"driver": DriverInfo("Framework")},
    "full": {"appname": "n" * 128, "driver": DriverInfo("Framework", "2.0", "p" * 400)},
    "overfull": {"appname": "n" * 128, "driver": LONG},
    "wide": {"driver": DriverInfo("é" * 200, "\N{GRINNING FACE}" * 60, "ß" * 300)},
}


@pytest.fixture
def surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KNOWN, *dict(pool_options._AGENT_ENV_VARS)):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENTS[request.param].items():
        monkeypatch.setenv(name, value)


every_environment = pytest.mark.parametrize("surroundings", ENVIRONMENTS, indirect=True)


@every_environment
@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_document_is_pymongos_but_for_the_name(options: dict[str, Any]) -> None:
    ours = metadata(options)
    theirs = pymongo.MongoClient(connect=False, **options).options.pool_options.metadata
    assert len(bson.encode(ours)) <= 512
    driver, other = ours.pop("driver"), theirs.pop("driver")
    assert ours == theirs
    own = 1 + pymongo.has_c()
    names, versions = driver["name"].split("|"), driver["version"].split("|")
    assert (names[0], versions[0]) == ("ferromongo", ferromongo.__version__)
    assert names[1:] == other["name"].split("|")[own:]
    assert versions[1:] == other["version"].split("|")[own:]


@every_environment
@pytest.mark.usefixtures("surroundings")
def test_both_apis_say_the_same() -> None:
    client: Any = AsyncMongoClient(**OPTIONS["named"])
    assert client._settings.engine["metadata"] == metadata(OPTIONS["named"])


@pytest.mark.parametrize("surroundings", ["nothing special"], indirect=True)
@pytest.mark.usefixtures("surroundings")
def test_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pool_options, "DOCKER_ENV_PATH", str(tmp_path))
    assert metadata({})["env"] == {"container": {"runtime": "docker"}}


@pytest.mark.parametrize("has_c", [True, False])
@pytest.mark.parametrize("kind", [MongoClient, AsyncMongoClient])
def test_pymongos_own_segments_are_left_out(
    kind: Any, has_c: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of PyMongo is there, a driver of the same name as a segment stays."""
    monkeypatch.setattr(pool_options, "has_c", lambda: has_c)
    monkeypatch.setattr("ferromongo._calls.metadata.has_c", lambda: has_c)
    client = kind(**{"connect": False, "driver": DriverInfo("async", "1")})
    driver = client._settings.engine["metadata"]["driver"]
    assert driver["name"] == "ferromongo|async"
    assert driver["version"] == f"{ferromongo.__version__}|1"


def test_clients_of_functions_wait_with_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such an environment may fork between the import and the first call."""
    monkeypatch.setenv("FUNCTIONS_WORKER_RUNTIME", "python")
    with MongoClient() as client:
        assert not client._used
        assert not client.options.connect
        assert client._settings.engine["poll"]
    with MongoClient(connect=True, serverMonitoringMode="stream") as client:
        assert client._used
        assert not client._settings.engine["poll"]


def test_append_metadata_wants_a_driver_info() -> None:
    with MongoClient(connect=False) as client, pytest.raises(TypeError, match="DriverInfo"):
        client.append_metadata("framework")  # type: ignore[arg-type]


def test_the_specification_has_no_more_files() -> None:
    """What its one file wants is in tests/fault/test_options_on_the_wire.py."""
    assert file_names("mongodb-handshake") <= {"unified/metadata-not-propagated.json"}


def metadata(options: dict[str, Any]) -> dict[str, Any]:
    with MongoClient(connect=False, **options) as client:
        said: dict[str, Any] = client._settings.engine["metadata"]
        return dict(said)
