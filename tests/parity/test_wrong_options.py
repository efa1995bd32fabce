"""Values that an option may or may not take: accepted, refused and warned of as by PyMongo."""

from __future__ import annotations

import re
import warnings
from typing import Any
from urllib.parse import quote

import pymongo
import pytest
from pymongo import common

import ferromongo

VALUES: list[Any] = [
    None, "", "x", "0", "-1", "1.5", " 1", "true", "True", "a:b", "a,b", "/missing/file",
    -1, 0, 1, 1.5, -0.5, 10, 1e9, float("nan"), float("inf"), True, False,
    b"x", [], ["a"], (), ("zlib",), {}, {"a": "b"}, {"a": 1}, int, dict, print, object(),
]  # fmt: skip
TEXTS = ["", "x", "0", "-1", "1.5", " 1", "10", "true", "True", "a:b", "a,b", "/missing/file"]

# Tested where the refusal is: values that PyMongo accepts are refused by name.
REFUSED = "ferromongo does not support"


@pytest.mark.parametrize("option", sorted(common.VALIDATORS))
def test_keyword(option: str) -> None:
    compare([{option: value} for value in VALUES])


@pytest.mark.parametrize("option", sorted(common.VALIDATORS))
def test_in_the_uri(option: str) -> None:
    compare([{"host": f"mongodb://h/?{option}={quote(text, safe=':,/')}"} for text in TEXTS])


@pytest.mark.parametrize(
    "arguments",
    [
        {"host": "mongodb://a,b/?directConnection=true"},
        {"host": ["a", "b"], "directConnection": True, "replicaSet": "rs"},
        {"host": "mongodb://a/?loadBalanced=true&directConnection=true"},
        {"host": "mongodb://a,b", "loadBalanced": True},
        {"host": "mongodb://a/", "loadBalanced": True, "replicaSet": "rs"},
        {"host": "mongodb://a/?minPoolSize=3", "maxPoolSize": 2},
        {"host": "mongodb://a/?w=0&journal=true"},
        {"host": "mongodb://a/", "w": 0, "fsync": True},
        {"fsync": True, "journal": True},
        {"readPreference": "primary", "readPreferenceTags": "dc:ny"},
        {"readPreference": "primary", "maxStalenessSeconds": 100},
        {"host": "mongodb://a/?readPreference=secondary&readPreferenceTags=dc"},
        {"host": "mongodb://a/?W=2&w=3"},
        {"host": "mongodb://a/?w=2;journal=true&x=1"},
        {"host": "mongodb://a/?w"},
        {"host": "mongodb://a/?=2"},
        {"host": "mongodb://a/?w=1=2"},
        {"host": "mongodb://a/?appName=%"},
        {"host": "mongodb://a/?appName=" + "x" * 129},
        {"appname": "\N{GRINNING FACE}" * 33},
        {"host": "mongodb://A:1,a:1,B"},
        {"host": "mongodb://a:0"},
        {"host": "mongodb://a:65536"},
        {"host": "mongodb://a:x"},
        {"host": "mongodb://a: 1"},
        {"host": "mongodb://a,,b"},
        {"host": "mongodb://%41"},
        {"host": "mongodb://::1"},
        {"host": "mongodb://[::1"},
        {"host": "mongodb://[::1]:x"},
        {"host": "mongodb:///tmp/a.sock"},
        {"host": "mongodb://%2Ftmp%2Fa.sock/db"},
        {"host": "%2Ftmp%2FA.sock"},
        {"host": "/tmp/a.sock"},
        {"host": "rel.sock"},
        {"host": ["h:1", "i"], "port": 3},
        {"host": [], "port": 3},
        {"host": 3},
        {"host": "", "port": 3},
        {"host": "a/b"},
        {"host": "mongodb://a/b c"},
        {"host": "mongodb://a/b$c"},
        {"host": "mongodb://a/%24"},
        {"host": "mongodb://a/a.b"},
        {"host": "mongodb://u:p@q@a/"},
        {"host": "mongodb://u%zz:p@a/"},
        {"host": "mongodb://u:p/w@a/"},
        {"host": "mongodb+srv://a,b/"},
        {"host": "mongodb+srv://a.b.c:1/"},
        {"host": "mongodb+srv://a.b.c/?directConnection=true"},
        {"host": "mongodb://a/?srvServiceName=x"},
        {"host": "mongodb://a/?srvMaxHosts=1"},
        {"host": "mongodb://a/?compressors=zlib,lz4&compressors=zlib"},
        {"host": "mongodb://a/?compressors=zlib=x"},
        {"host": "mongodb://a/?x=1&authMechanismProperties=AWS_SESSION_TOKEN"},
        {"authMechanismProperties": {"AWS_SESSION_TOKEN": "secret", "SERVICE_NAME": "n"}},
        {"username": "u", "password": "p", "authMechanismProperties": "AWS_SESSION_TOKEN:t"},
        {"nonsense": 1},
        {"max_pool_size": 1},
        {"appName": "a", "APPNAME": "b"},
    ],
    ids=str,
)
def test_together(arguments: dict[str, Any]) -> None:
    compare([arguments])


def compare(cases: list[dict[str, Any]]) -> None:
    different = {}
    for arguments in cases:
        ours = made(ferromongo.MongoClient, arguments)
        if ours[0] == "raised" and REFUSED in ours[2]:
            continue
        theirs = made(pymongo.MongoClient, arguments)
        if ours != theirs:
            different[str(arguments)] = ours, theirs
    assert not different


def made(kind: Any, arguments: dict[str, Any]) -> tuple[Any, ...]:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            client = kind(**{"connect": False, **arguments})
        except Exception as error:
            return "raised", type(error), str(error)
    texts = sorted({str(warning.message) for warning in warned})
    with client:
        # PyMongo shows its hosts in no particular order; the password of a key is better not shown.
        options = re.sub(
            r", tlscertificatekeyfilepassword=(None|'.*?')", "", repr(client).partition("], ")[2]
        )
        # Without mongodb+srv a service's name has no use but here.
        return "made", options, client.eq_props()[:3], texts
