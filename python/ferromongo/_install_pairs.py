"""Which class stands for which: PyMongo's, Motor's or GridFS's, and ferromongo's."""

from __future__ import annotations

from collections.abc import Container
from importlib import import_module
from types import ModuleType
from typing import Any

from ferromongo._install_table import CLASSES


class Pairs:
    """Grows as modules are imported, and again when one is reloaded, which makes new classes.

    Looked up by identity: what is asked about may be any object, with any `__eq__` and `__hash__`.
    """

    def __init__(self) -> None:
        self._ours: dict[int, tuple[type, type]] = {}
        self._theirs: dict[int, tuple[type, type]] = {}

    def add(self, module: ModuleType, namespace: dict[str, Any]) -> None:
        """Take the classes that this module defines, if it is one of the table."""
        path, names = CLASSES.get(module.__name__, ("", ()))
        for name in names:
            if name not in namespace:  # it is being imported by the caller of `install`
                continue
            theirs, ours = namespace[name], getattr(import_module(path), name)
            self._ours[id(theirs)] = self._theirs[id(ours)] = (theirs, ours)

    def ours(self, value: Any) -> Any:
        """Ferromongo's class for another's, else the value itself."""
        pair = self._ours.get(id(value))
        return value if pair is None else pair[1]

    def theirs(self, value: Any) -> Any:
        """The class that one of ferromongo's stands for, else the value itself."""
        pair = self._theirs.get(id(value))
        return value if pair is None else pair[0]

    def __contains__(self, theirs: Any) -> bool:
        return id(theirs) in self._ours

    @property
    def identities(self) -> Container[int]:
        """The `id` of each of their classes: asked about every attribute of every class."""
        return self._ours.keys()

    def all(self) -> list[tuple[type, type]]:
        """Every pair: theirs, ours."""
        return list(self._ours.values())
