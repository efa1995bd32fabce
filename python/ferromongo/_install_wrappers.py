"""What others have put around PyMongo's methods before `install`: agents that measure, mostly.

A wrapper that shows what it wraps (wrapt's, or a function that keeps the original in its closure or
defaults) is made again around ferromongo's method. One that does not, say because the original is
in a global variable, would call PyMongo's method with an object of ferromongo's. It is left, and
reported. So are wrappers of methods that only PyMongo's engine has: there they go on as before.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from types import CellType, FunctionType, ModuleType
from typing import Any

from ferromongo._install_facade import namespace
from ferromongo._install_pairs import Pairs
from ferromongo._install_private_names import is_private_name
from ferromongo._install_table import package

_ABSENT = object()
_PYMONGO = frozenset({"pymongo", "gridfs", "bson", "motor"})
# Where PyMongo keeps what ferromongo does not use; elsewhere wrappers work as before.
_ENGINE = (
    "pymongo.synchronous.",
    "pymongo.asynchronous.",
    "gridfs.synchronous.",
    "gridfs.asynchronous.",
)
_ACCESSORS = (staticmethod, classmethod)


@dataclass
class Carried:
    """One attribute of a class of ours that was set, and what it had been."""

    ours: type
    name: str
    value: Any
    before: Any

    def undo(self) -> None:
        if vars(self.ours).get(self.name) is not self.value:
            return  # wrapped or replaced since
        if self.before is _ABSENT:
            delattr(self.ours, self.name)
        else:
            setattr(self.ours, self.name, self.before)


def carry_over(pairs: Pairs, earlier: list[Carried]) -> tuple[list[Carried], list[str]]:
    """Wrap our methods as PyMongo's are wrapped; returns what was done, and what could not be.

    :param earlier: what was carried over before, and is not again
    """
    known = {(item.ours, item.name) for item in earlier}
    done: list[Carried] = []
    left: list[str] = []
    for theirs, ours in pairs.all():
        for name, value in list(vars(theirs).items()):
            if not _is_foreign(value) or (ours, name) in known:
                continue
            # Of these, ferromongo's methods call none: the wrapper would wait for ever.
            new = _ABSENT if is_private_name(name) else _made_anew(theirs, ours, name, value)
            if new is _ABSENT:
                left.append(_described(theirs, name, value))
                continue
            before = vars(ours).get(name, _ABSENT)
            setattr(ours, name, new)
            done.append(Carried(ours, name, vars(ours)[name], before))
    return done, left


def _made_anew(theirs: type, ours: type, name: str, value: Any) -> Any:
    base = inspect.getattr_static(ours, name, _ABSENT)
    if base is _ABSENT:
        # Added to PyMongo's class, it uses public names; replaced there, it is of PyMongo's engine.
        return _ABSENT if name.startswith("_") else value
    return _around(value, base, theirs, name)


def _around(value: Any, base: Any, theirs: type, name: str) -> Any:
    """`value`, with `base` in the place of PyMongo's function; `_ABSENT` if that is not seen."""
    if _is_original(value, theirs, name):
        return base
    kind = type(value)
    if kind in _ACCESSORS and type(base) is kind:
        inner = _around(value.__func__, base.__func__, theirs, name)
        return inner if inner is _ABSENT else kind(inner)
    if kind is property and type(base) is property:
        return _property_around(value, base, theirs, name)
    if kind is FunctionType:
        return _function_around(value, base, theirs, name)
    if hasattr(value, "__wrapped__") and hasattr(value, "_self_wrapper"):  # wrapt, New Relic
        inner = _around(value.__wrapped__, base, theirs, name)
        if inner is not _ABSENT:
            made = kind(inner, value._self_wrapper, value._self_enabled)
            return made if made.__wrapped__ is inner else _ABSENT
    return _ABSENT


def _property_around(value: property, base: property, theirs: type, name: str) -> Any:
    new: list[Any] = []
    for wrapped, own in zip(
        (value.fget, value.fset, value.fdel), (base.fget, base.fset, base.fdel), strict=True
    ):
        new.append(None if wrapped is None else _around(wrapped, own, theirs, name))
    return _ABSENT if _ABSENT in new else property(new[0], new[1], new[2], value.__doc__)


def _function_around(value: FunctionType, base: Any, theirs: type, name: str) -> Any:
    """A function with the same code and the same variables, but for those with the original."""

    def replaced(content: Any) -> Any:
        if not callable(content) or isinstance(content, type):
            return content
        new = _around(content, base, theirs, name)
        return content if new is _ABSENT else new

    cells = tuple(_replaced_cell(cell, replaced) for cell in value.__closure__ or ())
    defaults = value.__defaults__ and tuple(map(replaced, value.__defaults__))
    keywords = value.__kwdefaults__ and {k: replaced(v) for k, v in value.__kwdefaults__.items()}
    unchanged = (
        all(map(_is, cells, value.__closure__ or ()))
        and all(map(_is, defaults or (), value.__defaults__ or ()))
        and all(map(_is, (keywords or {}).values(), (value.__kwdefaults__ or {}).values()))
    )
    if unchanged:
        return _ABSENT
    new = FunctionType(value.__code__, value.__globals__, value.__name__, defaults, cells)
    new.__kwdefaults__ = keywords
    new.__dict__.update({key: replaced(item) for key, item in vars(value).items()})
    new.__qualname__, new.__doc__, new.__module__ = (
        value.__qualname__,
        value.__doc__,
        value.__module__,
    )
    new.__annotations__ = value.__annotations__
    return new


def _replaced_cell(cell: CellType, replaced: Any) -> CellType:
    try:
        content = cell.cell_contents
    except ValueError:  # not filled yet
        return cell
    new = replaced(content)
    return cell if new is content else CellType(new)


def _is(one: Any, other: Any) -> bool:
    return one is other


def _is_original(value: Any, theirs: type, name: str) -> bool:
    """Whether it is the function that PyMongo defines under this name, in the class or above it."""
    if not _is_pymongos(value) or type(value) is not FunctionType or value.__name__ != name:
        return False
    owner = value.__qualname__.rpartition(".")[0]
    return any(owner == cls.__qualname__ for cls in theirs.__mro__)


def _is_pymongos(value: Any) -> bool:
    """Whether the code is PyMongo's, or of the standard library's makers of methods."""
    if type(value) is not FunctionType:
        return False
    of = package(value.__globals__.get("__name__"))
    if of in sys.stdlib_module_names and of != "__main__":  # `contextlib`, `dataclasses`
        inner = getattr(value, "__wrapped__", None)
        return inner is None or _is_pymongos(inner)
    return of in _PYMONGO


def _is_foreign(value: Any) -> bool:
    """Whether others have put it into a class of PyMongo's."""
    kind = type(value)
    if kind in _ACCESSORS:
        return _is_foreign(value.__func__)
    if kind is property:
        return any(map(_is_foreign, (value.fget, value.fset, value.fdel)))
    if kind is FunctionType:
        return not _is_pymongos(value)
    return callable(value) and hasattr(value, "__wrapped__")


def of_the_engine(pairs: Pairs) -> list[str]:
    """Wrapped methods of classes that ferromongo has nothing like."""
    classes = {base for theirs, _ in pairs.all() for base in theirs.__mro__}
    for path, module in sys.modules.copy().items():
        if path.startswith(_ENGINE) and issubclass(type(module), ModuleType):
            values = namespace(module).copy().values()
            classes.update(v for v in values if isinstance(v, type) and v.__module__ == path)
    return [
        _described(cls, name, value)
        for cls in classes
        if cls not in pairs and package(cls.__module__) in _PYMONGO
        for name, value in list(vars(cls).items())
        if _is_foreign(value)
    ]


def _described(cls: type, name: str, value: Any) -> str:
    function = getattr(value, "_self_wrapper", value)
    while type(function) in _ACCESSORS or hasattr(function, "func"):
        function = function.__func__ if type(function) in _ACCESSORS else function.func
    scope = getattr(function, "__globals__", {})
    by = scope.get("__name__") or type(value).__module__
    return f"{cls.__name__}.{name} (by {by})"
