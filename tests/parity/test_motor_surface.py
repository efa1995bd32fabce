"""Motor's whole public surface against ferromongo's: what differs is listed, with its reason."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from typing import Any

import motor
import motor.aiohttp
import motor.core
import motor.motor_asyncio
import motor.motor_gridfs
import motor.motor_tornado
import motor.web
import pytest

MODULES = (
    "",
    "aiohttp",
    "core",
    "motor_asyncio",
    "motor_common",
    "motor_gridfs",
    "motor_tornado",
    "web",
)
MACHINERY = {
    "docstrings": "texts for Motor's own methods",
    "frameworks": "executors and futures: ferromongo has no threads to configure",
    "metaprogramming": "makes Motor's classes at run time: ferromongo's are written out",
}
"""Modules of Motor that ferromongo does not have."""

BOUND = "Motor's property returns the delegate's method; here it is a method itself"
DIFFERENT = {
    ("AgnosticClient.close", "kind"): BOUND,
    ("AgnosticClientSession.advance_cluster_time", "kind"): BOUND,
    ("AgnosticClientSession.advance_operation_time", "kind"): BOUND,
    ("AgnosticDatabase.__bool__", "kind"): BOUND,
    ("AgnosticCollection.__bool__", "kind"): BOUND,
    ("AgnosticGridIn.__getattr__", "kind"): BOUND,
    ("AgnosticGridIn.read", "kind"): BOUND,
    ("AgnosticGridIn.readable", "kind"): BOUND,
    ("AgnosticGridIn.seekable", "kind"): BOUND,
    ("AgnosticGridIn.writeable", "kind"): BOUND,
    ("AgnosticGridOut.close", "kind"): BOUND,
    ("AgnosticGridOut.readable", "kind"): BOUND,
    ("AgnosticGridOut.seek", "kind"): BOUND,
    ("AgnosticGridOut.seekable", "kind"): BOUND,
    ("AgnosticGridOut.tell", "kind"): BOUND,
    ("AgnosticGridOut.write", "kind"): BOUND,
    (
        "AgnosticGridOut.readline",
        "signature",
    ): "Motor's `size` is that of io.IOBase, without a name",
    (
        "AgnosticClient.recover_transactions",
        "ours only",
    ): "of transaction logs, which Motor has not",
    **{
        (f"AgnosticGridFSBucket.{name}", "ours only"): "as of ferromongo's buckets"
        for name in (
            "upload_from_path", "download_to_path", "download_to_path_by_name", "find_orphans",
            "delete_orphans",
        )
    },
    **{
        (f"AgnosticGridFSBucket.{name}", "signature"): "takes `progress`, as ferromongo's buckets"
        for name in (
            "upload_from_stream", "upload_from_stream_with_id", "download_to_stream",
            "download_to_stream_by_name",
        )
    },
    **{
        (f"AgnosticGridFSBucket.{name}", "signature"): "takes `start` and `end`, likewise"
        for name in ("open_download_stream", "open_download_stream_by_name")
    },
    ("AgnosticGridOut.readinto", "ours only"): "as of ferromongo's files",
    ("AgnosticClient.start_session", "signature"): "takes `snapshot_time`, as PyMongo's newer ones",
    ("AgnosticGridOutCursor.add_option", "signature"): "raises NotImplementedError with both",
    ("AgnosticGridOutCursor.remove_option", "signature"): "raises NotImplementedError with both",
}  # fmt: skip

# What Motor's class factory leaves in a class, and what Python does.
INTERNAL = {
    "__annotations__", "__class_getitem__", "__delegate_class__", "__dict__", "__doc__",
    "__module__", "__motor_class_name__", "__orig_bases__", "__parameters__", "__slotnames__",
    "__slots__",
    "__static_attributes__", "__firstlineno__", "__weakref__",
}  # fmt: skip


def pairs() -> list[tuple[str, type, type]]:
    """Each class of Motor for a framework, with ferromongo's, under the framework-less name."""
    found = []
    for name in ("motor_asyncio", "motor_tornado"):
        theirs = importlib.import_module(f"motor.{name}")
        ours = importlib.import_module(f"ferromongo.motor.{name}")
        for own, value in vars(theirs).items():
            if isinstance(value, type) and "Motor" in own:
                plain = own.replace("AsyncIOMotor", "Agnostic").replace("Motor", "Agnostic")
                found.append((plain, getattr(ours, own), value))
    return found


def public(module: Any) -> set[str]:
    """The names of `__all__`, and what the module defines besides."""
    return set(getattr(module, "__all__", ())) | {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


@pytest.mark.parametrize("path", MODULES)
def test_every_name_of_a_module_is_there(path: str) -> None:
    theirs = importlib.import_module(f"motor.{path}".rstrip("."))
    ours = importlib.import_module(f"ferromongo.motor.{path}".rstrip("."))
    factories = {"create_asyncio_class", "create_motor_class", "MotorGridOutProperty"}
    missing = public(theirs) - set(dir(ours)) - factories
    assert not missing
    for name in getattr(theirs, "__all__", ()):
        assert name in ours.__all__


def test_every_module_is_there_or_listed() -> None:
    paths = {info.name for info in pkgutil.iter_modules(motor.__path__) if info.name[0] != "_"}
    assert paths == {path for path in MODULES if path} | set(MACHINERY)


def test_the_modules_beside_have_the_same_names() -> None:
    for name in ("motor_asyncio", "motor_tornado"):
        inside = importlib.import_module(f"ferromongo.motor.{name}")
        beside = importlib.import_module(f"ferromongo.{name}")
        for own in inside.__all__:
            assert getattr(beside, own) is getattr(inside, own)


def differences() -> dict[tuple[str, str], str]:
    found = {}
    for name, ours, theirs in pairs():
        our_members, their_members = members(ours), members(theirs)
        for member in our_members ^ their_members:
            found[f"{name}.{member}", "ours only" if member in our_members else "missing"] = ""
        for member in our_members & their_members:
            pair = [inspect.getattr_static(kind, member) for kind in (ours, theirs)]
            kinds = [kind_of(value) for value in pair]
            if kinds[0] != kinds[1]:
                found[f"{name}.{member}", "kind"] = f"{kinds}"
            elif kinds[0] != "property" and not member.startswith("__"):
                signatures = [parameters(value) for value in pair]
                if signatures[0] != signatures[1]:
                    found[f"{name}.{member}", "signature"] = f"{signatures}"
    return found


def members(kind: type) -> set[str]:
    special = {name for name in dir(kind) if name.startswith("__")} - set(dir(object)) - INTERNAL
    return {name for name in dir(kind) if not name.startswith("_")} | special


def kind_of(member: Any) -> str:
    if isinstance(member, property):
        return "property"
    if asyncio.iscoroutinefunction(member):
        return "coroutine"
    return "method" if callable(member) else "attribute"


def parameters(member: Any) -> list[tuple[str, str, Any]]:
    values = inspect.signature(member).parameters.values()
    return [(value.name, str(value.kind), value.default) for value in values]


def test_every_difference_is_listed() -> None:
    found = {one: text for one, text in differences().items() if one not in DIFFERENT}
    assert not found


def test_every_listed_difference_is_one() -> None:
    assert not set(DIFFERENT) - set(differences())


def test_the_walk_sees_all_classes() -> None:
    names = {name for name, _, _ in pairs()}
    assert len(names) == 13
    assert {"AgnosticClient", "AgnosticLatentCommandCursor", "AgnosticGridOutCursor"} <= names


@pytest.mark.parametrize("path", ["core", "motor_gridfs"])
def test_classes_derive_from_the_agnostic_ones(path: str) -> None:
    """Annotations and isinstance checks name `motor.core.AgnosticClient` and the like."""
    agnostic = importlib.import_module(f"ferromongo.motor.{path}")
    for name, ours, _ in pairs():
        if base := getattr(agnostic, name, None):
            assert issubclass(ours, base)


def test_subscripted_classes_are_the_classes() -> None:
    for _, ours, theirs in pairs():
        if hasattr(theirs, "__class_getitem__"):
            subscripted: Any = ours
            assert subscripted[dict] is ours
