"""What overrides or patches one public method changes the others, as with PyMongo.

The same programs run with both drivers, on classes whose public methods note who called them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.parity import override_calls as calls
from tests.parity.override_differences import EXPLAINED, is_explained
from tests.parity.override_walk import Watch, classes

Pairs = set[tuple[str, str]]

# In subclasses, or in the classes: by functions, or by wrapt, as agents do.
HOW = ("overridden", "patched", "wrapped")


@pytest.fixture(scope="module")
def pairs(mongodb_uri: str) -> dict[tuple[str, str, str], Pairs]:
    """By how the methods are replaced, the API and the package."""
    return {
        (how, api, package): asyncio.run(called(how, api == "async", package, mongodb_uri))
        for how in HOW
        for api in ("sync", "async")
        for package in ("pymongo", "ferromongo")
    }


async def called(how: str, is_async: bool, package: str, uri: str) -> Pairs:
    kinds = classes(package, is_async)
    watch = Watch(kinds)
    if how != "overridden":
        with watch.patched(by_wrapt=how == "wrapped"):
            await run(kinds, uri)
    else:
        await run(watch.subclasses(), uri)
    return watch.pairs


async def run(kinds: dict[str, Any], uri: str) -> None:
    name = "overrides"
    objects = calls.Objects(kinds, uri, name)
    try:
        await calls.settled(objects.client.drop_database(name))
        for program in calls.PROGRAMS:
            await program(objects)
        await calls.settled(objects.client.drop_database(name))
    finally:
        await calls.settled(objects.client.close())


@pytest.mark.parametrize("api", ["sync", "async"])
@pytest.mark.parametrize("how", HOW)
def test_methods_reach_the_methods_they_reach_in_pymongo(pairs, how, api):
    theirs, ours = pairs[how, api, "pymongo"], pairs[how, api, "ferromongo"]
    assert len(theirs) > 100
    assert sorted(pair for pair in theirs - ours if not is_explained(pair)) == []


@pytest.mark.parametrize("api", ["sync", "async"])
def test_methods_do_not_call_other_methods_of_the_same_object_than_in_pymongo(pairs, api):
    """Such a call would be endless if the overriding method called back."""
    key = "overridden", api
    assert sorted(pairs[*key, "ferromongo"] - pairs[*key, "pymongo"]) == []


def test_explained_differences_exist(pairs):
    theirs = set().union(*(found for key, found in pairs.items() if key[2] == "pymongo"))
    callees = {callee for _, callee in theirs}
    for caller, callee in EXPLAINED:
        assert (callee in callees) if caller == "*" else ((caller, callee) in theirs)
