"""The same calls with ferromongo and with PyMongo on a real server: same results, same errors.

A case is a function of a database. It runs on an empty database once per driver; what it returns,
or the class, code and details of what it raises, must be equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pymongo
import pytest

import ferromongo

Case = Callable[[Any], Any]


class Cases(dict[str, Case]):
    """Those of a module: a decorator that gathers them, and the test that plays them."""

    def __call__(self, function: Case) -> Case:
        self[function.__name__] = function
        return function

    def test(self) -> Any:
        """To be called behind the last case."""

        @pytest.mark.parametrize("name", self)
        def test_same(name: str, mongodb_uri: str, mongodb_database_name: str) -> None:
            outcomes = []
            for package in (pymongo, ferromongo):
                with package.MongoClient(mongodb_uri) as client:
                    client.drop_database(mongodb_database_name)
                    outcomes.append(outcome(self[name], client[mongodb_database_name]))
            assert outcomes[1] == outcomes[0]

        return test_same


def filled(database: Any, count: int = 20) -> Any:
    database.x.insert_many([{"_id": i, "a": i % 4, "s": f"v{i:02}"} for i in range(count)])
    return database.x


def outcome(function: Case, database: Any) -> Any:
    try:
        return "returned", _stable(function(database))
    except Exception as error:
        code, details = getattr(error, "code", None), getattr(error, "details", None)
        return type(error), code, _stable(details)


def _stable(value: Any) -> str:
    """The value as text, without what differs from run to run."""
    text = repr(value)
    text = re.sub(r"Timestamp\(\d+, \d+\)", "Timestamp", text)
    text = re.sub(r"'(keyId|t)': \d+", r"'\1': 0", text)
    text = re.sub(r"'hash': b('[^']*'|\"[^\"]*\")", "'hash': b''", text)
    text = re.sub(r"ObjectId\('7[0-9a-f]{23}'\)", "ObjectId()", text)
    return re.sub(r"UUID\('[^']*'\)|Binary\(b.*?, 4\)", "UUID()", text)
