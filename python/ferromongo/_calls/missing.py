"""What PyMongo has and ferromongo has not yet: each name raises instead of misleading.

Without this `collection.watch` would quietly be a sub-collection of that name.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ferromongo._calls.bases import ClientBase, CollectionBase, DatabaseBase

MISSING: dict[type, tuple[str, ...]] = {
    ClientBase: ("watch",),
    DatabaseBase: ("watch",),
    CollectionBase: ("watch",),
}


def not_yet(what: str) -> NotImplementedError:
    return NotImplementedError(f"ferromongo does not have {what} yet")


def _method(name: str) -> Any:
    def missing(self: object, *args: Any, **kwargs: Any) -> NoReturn:
        raise not_yet(f"{type(self).__name__}.{name}")

    missing.__name__ = name
    missing.__doc__ = "Not there yet: raises NotImplementedError."
    return missing


for _kind, _names in MISSING.items():
    for _name in _names:
        setattr(_kind, _name, _method(_name))
