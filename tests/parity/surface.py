"""Walks the public surface of the installed PyMongo beside ferromongo's: every difference found.

Public are the modules without an underscore in their path, and in them the names of `__all__`, or
else what they define themselves. The twins of the two APIs are told of together: `AsyncCursor` as
`Cursor`, `asynchronous.cursor` as `synchronous.cursor`; what only one of them has is marked so.
"""

from __future__ import annotations

import collections.abc
import contextlib
import importlib
import importlib.util
import inspect
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

import gridfs
import pymongo
from tests.parity import annotations

import ferromongo
import ferromongo.gridfs

PACKAGES = ((ferromongo, pymongo, ""), (ferromongo.gridfs, gridfs, "gridfs."))
# PyMongo's `gridfs` is a package beside it; Motor's surface is compared by test_motor_surface.py.
_NEIGHBOURS = {"gridfs", "motor", "motor_asyncio", "motor_tornado"}
_TWINS = {"synchronous": "sync", "asynchronous": "async"}


class Found(NamedTuple):
    """A difference without what it says, as `differences.py` lists it."""

    subject: str
    what: str


def differences() -> dict[Found, str]:
    """All of them, with a text about each for whoever must look into it."""
    told: dict[tuple[Found, str], str] = {}
    for api, found, text in _walk({}):
        told.setdefault((found, api), text)
    apis = defaultdict(set)
    for found, api in told:
        apis[found].add(api)
    return {
        found if api == "" or len(apis[found]) > 1 else found._replace(subject=_only(found, api)): (
            text
        )
        for (found, api), text in told.items()
    }


def compared_classes() -> list[tuple[type, type]]:
    """Ours and PyMongo's, where they are not one and the same."""
    classes: dict[tuple[type, type], None] = {}
    list(_walk(classes))
    return list(classes)


def _only(found: Found, api: str) -> str:
    return f"{found.subject} ({api} only)"


_Differences = Iterator[tuple[str, Found, str]]


def _walk(classes: dict[tuple[type, type], None]) -> _Differences:
    for our_package, their_package, prefix in PACKAGES:
        theirs, ours = set(module_paths(their_package)), set(module_paths(our_package))
        for path in sorted(theirs | ours):
            api, plain = _plain_path(path)
            plain = f"{prefix}{plain}".rstrip(".")
            if path not in ours:
                yield api, Found(plain, "no module"), ""
            elif path not in theirs:
                yield api, Found(plain, "module of our own"), ""
            else:
                pair = (module(our_package, path), module(their_package, path))
                yield from _compare_modules(api, plain, *pair, classes)
    for ours_class, theirs_class in classes:
        yield from _compare_classes(ours_class, theirs_class, classes)


def module_paths(package: ModuleType) -> Iterator[str]:
    """Paths below the package, "" for itself."""
    yield ""
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        path = info.name.removeprefix(f"{package.__name__}.")
        if package is ferromongo and path.partition(".")[0] in _NEIGHBOURS:
            continue
        if not any(part.startswith("_") for part in path.split(".")):
            yield path


def module(package: ModuleType, path: str) -> ModuleType:
    return importlib.import_module(f"{package.__name__}.{path}".rstrip("."))


def _plain_path(path: str) -> tuple[str, str]:
    api, dot, rest = path.partition(".")
    return (_TWINS[api], f"synchronous.{rest}") if dot and api in _TWINS else ("", path)


def _plain_name(name: str) -> str:
    return name.removeprefix("Async")


def public_names(module: ModuleType) -> list[str]:
    if (names := getattr(module, "__all__", None)) is not None:
        return list(names)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and not isinstance(value, TypeVar)
    ]


def _compare_modules(
    api: str, path: str, ours: ModuleType, theirs: ModuleType, classes: dict[Any, None]
) -> _Differences:
    for name in public_names(theirs):
        subject = f"{path}.{_plain_name(name)}".lstrip(".")
        if not hasattr(ours, name):
            yield api, Found(subject, "no name"), ""
            continue
        our_value, their_value = getattr(ours, name), getattr(theirs, name)
        if our_value is their_value:
            continue
        if isinstance(their_value, type) and isinstance(our_value, type):
            classes[our_value, their_value] = None
        elif our_value != their_value:
            yield api, Found(subject, "another value"), f"{our_value!r} != {their_value!r}"
    for name in set(public_names(ours)) - set(dir(theirs)):
        yield api, Found(f"{path}.{_plain_name(name)}".lstrip("."), "name of our own"), ""
    if path == "":
        submodules = {name for name, value in vars(theirs).items() if inspect.ismodule(value)}
        for name in submodules - set(vars(ours)):
            if not name.startswith("_") and importlib.util.find_spec(f"ferromongo.{name}"):
                yield api, Found(name, "not imported with the package"), ""


def _compare_classes(ours: type, theirs: type, classes: dict[Any, None]) -> _Differences:
    api = "async" if ".asynchronous" in theirs.__module__ else "sync"
    kind = _plain_name(theirs.__name__)
    our_members, their_members = members(ours), members(theirs)
    bases = [pair for pair in classes if pair[0] in ours.__mro__[1:]]
    for name in sorted(their_members - our_members):
        if not any(_inherits(theirs, base, name) for _, base in bases):
            yield api, Found(f"{kind}.{name}", "no member"), ""
    for name in sorted(our_members - their_members):
        if not any(_inherits(ours, base, name) for base, _ in bases):
            yield api, Found(f"{kind}.{name}", "member of our own"), ""
    for name in sorted(our_members & their_members):
        if any(_inherits(ours, ob, name) and _inherits(theirs, tb, name) for ob, tb in bases):
            continue  # told of the base class
        pair = [inspect.getattr_static(owner, name) for owner in (ours, theirs)]
        for what, about in _ASPECTS.items():
            facts = [about(member) for member in pair]
            if facts[0] != facts[1]:
                yield api, Found(f"{kind}.{name}", what), f"{facts[0]} != {facts[1]}"
        if text := annotations.different(ours, *pair):
            yield api, Found(f"{kind}.{name}", "types"), text
    if ours.__module__ != theirs.__module__.replace("pymongo", "ferromongo").replace(
        "gridfs", "ferromongo.gridfs"
    ):
        yield api, Found(kind, "another module"), f"{ours.__module__} != {theirs.__module__}"
    pair = [len(getattr(owner, "__parameters__", ())) for owner in (ours, theirs)]
    if pair[0] != pair[1]:
        yield api, Found(kind, "type parameters"), f"{pair[0]} != {pair[1]}"
    for base in _ABSTRACT:
        pair = [issubclass(owner, base) for owner in (ours, theirs)]
        if pair[0] != pair[1]:
            yield api, Found(kind, f"is {base.__name__}"), f"{pair[0]} != {pair[1]}"
    for our_base, their_base in classes:
        pair = [issubclass(ours, our_base), issubclass(theirs, their_base)]
        if pair[0] != pair[1]:
            yield api, Found(kind, f"is {their_base.__name__}"), f"{pair[0]} != {pair[1]}"


def _inherits(kind: type, base: type, name: str) -> bool:
    return inspect.getattr_static(kind, name) is inspect.getattr_static(base, name, None)


def members(kind: type) -> set[str]:
    """Public ones, and special methods that `object` does not have already."""
    special = {
        name
        for base in kind.__mro__
        if base not in (object, Generic)
        for name in vars(base)
        if name.startswith("__") and name.endswith("__")
    }
    return {name for name in dir(kind) if not name.startswith("_")} | special - _MACHINERY


def _kind(member: Any) -> str:
    if isinstance(member, property):
        return "awaited property" if _is_coroutine(member.fget) else "property"
    if inspect.isdatadescriptor(member):
        return "property"
    if isinstance(member, (staticmethod, classmethod)):
        return type(member).__name__
    if callable(member):
        # What is decorated stays what it was; the engine's methods answer awaitables.
        return "async method" if _is_coroutine(inspect.unwrap(member)) else "method"
    return "attribute"


def _is_coroutine(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _parameters(member: Any) -> Any:
    if not callable(member):
        return None
    parameters = list(inspect.signature(member).parameters.values())
    if parameters and parameters[0].name == "self":
        del parameters[0]  # of a method of the engine it has no name to pass it by
    return [(parameter.name, str(parameter.kind), parameter.default) for parameter in parameters]


def _value(member: Any) -> Any:
    return member if _kind(member) == "attribute" else None


_ASPECTS = {"another kind": _kind, "signature": _parameters, "another value": _value}

# What the interpreter keeps in a class.
_MACHINERY = {
    "__abstractmethods__", "__annotations__", "__class_getitem__", "__dict__", "__doc__",
    "__firstlineno__", "__init_subclass__", "__module__", "__new__", "__orig_bases__",
    "__parameters__", "__slotnames__", "__slots__", "__static_attributes__", "__subclasshook__",
    "__weakref__",
}  # fmt: skip

_ABSTRACT = [
    *(
        kind
        for kind in vars(collections.abc).values()
        if isinstance(kind, type) and kind.__name__ in collections.abc.__all__
    ),
    contextlib.AbstractContextManager,
    contextlib.AbstractAsyncContextManager,
]
