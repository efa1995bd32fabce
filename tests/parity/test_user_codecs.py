"""Each command with each set of codec options, on a real server: ferromongo returns and raises what
PyMongo does, value by value with its type, on both APIs."""

from __future__ import annotations

from typing import Any

import bson
import pymongo
import pytest
from tests.drivers import AsyncDriver, Awaitable, SyncDriver
from tests.parity import user_codec_administration  # noqa: F401 - adds its cases
from tests.parity.user_codec_cases import CASES, DOCUMENTS, SLOW
from tests.parity.user_codec_differences import known
from tests.parity.user_codecs import OPTIONS, SOME, told

import ferromongo


@pytest.fixture(scope="module")
def plain(mongodb_uri: str) -> Any:
    with pymongo.MongoClient(mongodb_uri) as client:
        yield client


@pytest.mark.parametrize("described", OPTIONS)
@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda it: it.name)
def test_results_with_type_decoders_are_as_with_pymongo(
    driver_class: Any, described: str, mongodb_uri: str, mongodb_database_name: str, plain: Any
) -> None:
    driver, database = driver_class(), plain[mongodb_database_name]
    plain.drop_database(database)
    cases = {name: CASES[name] for name in CASES if described in SOME or name not in SLOW}
    theirs, ours = (
        driver.run(play(driver, package, mongodb_uri, database, OPTIONS[described], cases))
        for package in (pymongo, ferromongo)
    )
    differing = [
        f"\n{name}\n{difference(told(theirs[name]), told(ours[name]))}"
        for name in cases
        if told(ours[name]) != told(theirs[name])
        and not known(name, described, theirs[name], ours[name])
    ]
    assert not differing, "".join(differing)


def difference(theirs: str, ours: str) -> str:
    at = next(n for n, (a, b) in enumerate(zip(theirs + "!", ours + "?", strict=False)) if a != b)
    near = slice(max(at - 120, 0), at + 160)
    return f"PyMongo    ...{theirs[near]}\nferromongo ...{ours[near]}"


async def play(
    driver: Any,
    package: Any,
    uri: str,
    database: Any,
    options: dict[str, Any],
    cases: dict[str, Any],
) -> dict[str, Any]:
    kind = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, kind)(uri, **options)
    async with Awaitable(client) if driver.name == "sync" else client as client:
        outcomes = {}
        for name, case in cases.items():
            fill(database)
            try:
                outcomes[name] = await case(client[database.name], client[database.name].x)
            except Exception as error:
                if not options:
                    raise
                outcomes[name] = "raised", type(error).__name__, str(error)
        return outcomes


def fill(database: Any) -> None:
    """As it was at the beginning; dropping it all takes much longer."""
    for name in database.list_collection_names(filter={"name": {"$ne": "x"}}):
        database.drop_collection(name)
    database.x.delete_many({})
    database.x.insert_many(bson.decode(bson.encode(document)) for document in DOCUMENTS)
