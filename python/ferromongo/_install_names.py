"""Names of modules, and attributes of the classes in them, that hold PyMongo's classes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ferromongo._install_facade import namespace
from ferromongo._install_pairs import Pairs

# Where `type` keeps a class's own attributes; like `namespace`, it runs no code of the class's.
_ATTRIBUTES: Any = vars(type)["__dict__"]
_MRO: Any = vars(type)["__mro__"]


class Replaced:
    """Gives such names ferromongo's classes, and gives them back."""

    def __init__(self) -> None:
        # A module or class, its name, theirs and ours.
        self._in_modules: list[tuple[ModuleType, str, type, type]] = []
        self._in_classes: list[tuple[type, str, type, type]] = []

    def replace_in(self, module: ModuleType, pairs: Pairs) -> None:
        variables = namespace(module)
        for name, value in variables.copy().items():
            if value in pairs:
                ours = variables[name] = pairs.ours(value)
                self._in_modules.append((module, name, value, ours))
        theirs = pairs.identities
        for cls in _classes_of(variables.get("__name__"), variables, pairs):
            for name, value in _ATTRIBUTES.__get__(cls).copy().items():
                if id(value) in theirs:
                    ours = pairs.ours(value)
                    type.__setattr__(cls, name, ours)
                    self._in_classes.append((cls, name, value, ours))

    def undo(self) -> None:
        """Those that were given another value since keep it."""
        for module, name, theirs, ours in self._in_modules:
            if namespace(module).get(name) is ours:
                namespace(module)[name] = theirs
        for cls, name, theirs, ours in self._in_classes:
            if _ATTRIBUTES.__get__(cls).get(name) is ours:
                type.__setattr__(cls, name, theirs)
        self._in_modules.clear()
        self._in_classes.clear()


def _classes_of(module: object, variables: dict[str, Any], pairs: Pairs) -> list[type]:
    """The classes that a module defines, and those within them.

    But those that derive from PyMongo's: they meet PyMongo's objects.
    """
    found: dict[int, type] = {}
    namespaces = [variables]
    for names in namespaces:
        for value in names.copy().values():
            if not issubclass(type(value), type) or id(value) in found:
                continue
            attributes = _ATTRIBUTES.__get__(value)
            its_module = attributes.get("__module__")
            if type(its_module) is not str or its_module != module:
                continue
            if not any(base in pairs for base in _MRO.__get__(value)):
                found[id(value)] = value
                namespaces.append(attributes)
    return list(found.values())
