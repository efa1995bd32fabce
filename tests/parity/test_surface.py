"""PyMongo's whole public surface against ferromongo's: what differs is in `differences.py`."""

from __future__ import annotations

import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pymongo.asynchronous.collection
import pytest
from tests.parity import differences, surface

import ferromongo
import ferromongo.gridfs

ROOT = Path(__file__).resolve().parents[2]
CLASSES = [
    getattr(surface.module(ferromongo, f"{api}.{module}"), prefix + name)
    for api, prefix in (("synchronous", ""), ("asynchronous", "Async"))
    for module, name in (
        ("mongo_client", "MongoClient"),
        ("database", "Database"),
        ("collection", "Collection"),
        ("cursor", "Cursor"),
        ("cursor", "RawBatchCursor"),
        ("command_cursor", "CommandCursor"),
        ("command_cursor", "RawBatchCommandCursor"),
        ("client_session", "ClientSession"),
        ("change_stream", "ChangeStream"),
        ("change_stream", "ClusterChangeStream"),
        ("change_stream", "CollectionChangeStream"),
        ("change_stream", "DatabaseChangeStream"),
    )
]
by_name = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


@pytest.fixture(scope="module")
def found() -> dict[surface.Found, str]:
    return surface.differences()


def listed() -> dict[surface.Found, str]:
    return {
        surface.Found(subject, entry.what): entry.reason
        for entry in differences.ALL
        for subject in entry.subjects
    }


def test_every_difference_is_listed(found: dict[surface.Found, str]) -> None:
    unlisted = {one: text for one, text in found.items() if one not in listed()}
    assert not unlisted


def test_every_listed_difference_is_one(found: dict[surface.Found, str]) -> None:
    assert not set(listed()) - set(found)
    assert len(listed()) == sum(len(entry.subjects) for entry in differences.ALL), "listed twice"


def test_the_walk_sees_everything() -> None:
    """It compares what PyMongo documents, classes of both APIs included."""
    classes = surface.compared_classes()
    files = {
        getattr(surface.module(ferromongo.gridfs, f"{api}.grid_file"), prefix + name)
        for api, prefix in (("synchronous", ""), ("asynchronous", "Async"))
        for name in (
            "GridFS", "GridFSBucket", "GridIn", "GridOut", "GridOutCursor", "GridOutIterator",
        )
    }  # fmt: skip
    assert {ours for ours, _ in classes} == {*CLASSES, *files}
    assert {"Collection.find", "Collection.__call__", "Collection.full_name"} <= {
        f"Collection.{name}" for name in surface.members(pymongo.collection.Collection)
    }
    assert {"errors", "operations", "synchronous.collection", "asynchronous.cursor"} <= set(
        surface.module_paths(pymongo)
    )


def test_the_page_is_made_from_the_table() -> None:
    command = [sys.executable, "python/tools/compatibility_tables.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@by_name
def test_ordinary_class(kind: type) -> None:
    """Subscriptable, subclassable, weakly referenceable and patchable, as users' tests expect."""
    instance: Any = type("Subclass", (kind,), {}).__new__(type("Subclass", (kind,), {}))
    assert weakref.ref(instance)() is instance
    instance.__dict__["patched"] = 1
    assert instance.patched == 1
    if "ClientSession" not in kind.__name__:
        assert kind[dict] is not None  # type: ignore[index]


def test_only_public_names_are_exported() -> None:
    """`from ferromongo import *` brings what `from pymongo import *` does, and what is ours."""
    ours = {"TransactionLog", "install", "installed", "uninstall"}
    assert set(ferromongo.__all__) == set(pymongo.__all__) | ours
    assert pymongo.asynchronous.collection.ReturnDocument is (
        ferromongo.asynchronous.collection.ReturnDocument
    )
