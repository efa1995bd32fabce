"""MongoDB's official connection strings: the folders `connection-string` and `uri-options`.

Where PyMongo itself deviates from a case, PyMongo wins: the case must then end as it does there.
"""

from __future__ import annotations

import warnings
from typing import Any

import pymongo
import pytest
from pymongo import common
from pymongo.errors import ConfigurationError
from tests.parity.spec_files import file_names, needed, scenarios

from ferromongo import MongoClient

FOLDERS = {folder: scenarios(folder) for folder in ("connection-string", "uri-options")}
CASES = [
    pytest.param(
        case | {"id": f"{file}: {case['description']}"}, id=f"{file}: {case['description']}"
    )
    for folder, files in FOLDERS.items()
    for file, scenario in files.items()
    for case in scenario["tests"]
]
pytestmark = needed(CASES)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_run(folder: str) -> None:
    assert set(FOLDERS[folder]) == file_names(folder)
    assert all(scenario["tests"] for scenario in FOLDERS[folder].values())


@pytest.mark.parametrize("case", CASES)
def test_case(case: dict[str, Any], monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    certificates(tmp_path, case["options"] or {})
    if mechanism := next((name for name in NOT_YET if f"={name}" in case["uri"]), None):
        with (
            warnings.catch_warnings(action="ignore"),
            pytest.raises(ConfigurationError, match=mechanism),
        ):
            MongoClient(case["uri"], connect=False)
    elif reason := deviation(case):
        # The case itself must fail, or the reason is out of date.
        ours, theirs = outcome(MongoClient, case["uri"]), outcome(pymongo.MongoClient, case["uri"])
        assert ours == theirs, reason
        with pytest.raises((AssertionError, ConfigurationError, pytest.fail.Exception)):
            check(case)
    else:
        check(case)


def check(case: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if not case["valid"]:
            with pytest.raises((ConfigurationError, ValueError)):
                MongoClient(case["uri"], connect=False)
            return
        client = MongoClient(case["uri"], connect=False)
    with client:
        assert bool(warned) == case["warning"], warned
        check_hosts(client, case["hosts"])
        check_authentication(client, case["auth"])
        check_options(client, case["options"] or {})


def check_hosts(client: Any, hosts: Any) -> None:
    if hosts is None:
        return
    seeds = [
        (host["host"], None if host["type"] == "unix" else host["port"] or 27017) for host in hosts
    ]
    assert list(client._settings.seeds) == seeds
    # What the engine made of them.
    assert set(client._core.topology()["servers"]) == set(seeds)


def check_authentication(client: Any, expected: Any) -> None:
    if expected is None:
        return
    if expected["username"] is not None:
        given = client.options.pool_options._credentials
        assert given.username == expected["username"]
        assert given.password == (expected["password"] or ("" if given.password == "" else None))
    if expected["db"] is not None:
        assert client.get_default_database().name == expected["db"]


def check_options(client: Any, expected: dict[str, Any]) -> None:
    given = client._settings.given
    for name, value in expected.items():
        seen = given.get(name)
        if name.lower() in (*common.TIMEOUT_OPTIONS, "timeoutms"):
            # PyMongo's validators make seconds of all of these but one.
            seen = seen if name.lower() == "maxstalenessseconds" else seen * 1000
        assert seen == value, name


def outcome(kind: Any, uri: str) -> tuple[Any, ...]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            client = kind(uri, connect=False)
        except Exception as error:
            return type(error), str(error)
    with client:
        options = client.options
        texts = sorted({str(warning.message) for warning in warned})
        database = client.get_default_database("none").name
        return texts, database, options.pool_options._credentials, client.eq_props()


def certificates(folder: Any, options: dict[str, Any]) -> None:
    """The files that a case names, real ones: PyMongo reads them."""
    if "tlsCAFile" not in options:
        return
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / options["tlsCAFile"])
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(
        folder / options["tlsCertificateKeyFile"]
    )


def deviation(case: dict[str, Any]) -> str | None:
    return next((reason for text, reason in DEVIATIONS.items() if text in case["id"]), None)


# What stands in the id of a case: why PyMongo does not end it as the case wants.
DEVIATIONS = {
    "tlsDisableCertificateRevocationCheck": "an option that PyMongo does not know and warns of",
    "proxy-options.json": "PyMongo connects through no proxy and warns of the options",
    "single-threaded drivers are parsed": "an option for drivers with one thread",
    "ername without password": "a client, unlike a parser, wants the password",
    "username and database without password": "a client, unlike a parser, wants the password",
    "with empty password": "a client, unlike a parser, wants the password",
    "user/pass don't need escaping": "PyMongo reads + as a space",
    "dotted-name.json": "PyMongo takes what follows the dot for a collection",
    "hostname resembling relative path": "what ends in .sock is a path",
    "positive srvMaxHosts and replicaSet": "PyMongo notices when it has looked up the name",
    "positive srvMaxHosts and loadBalanced=true": "PyMongo notices when it has looked up the name",
}
NOT_YET = ("GSSAPI", "MONGODB-AWS", "MONGODB-OIDC")
