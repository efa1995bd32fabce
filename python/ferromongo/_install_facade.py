"""Modules of PyMongo that show ferromongo's classes to everyone but PyMongo.

PyMongo's classes look their own names up in the namespaces of PyMongo's modules, so these are left
alone, and PyMongo's engine stays whole. What others see of a module is its attributes, and a
module's class may say what these are ("Customizing module attribute access" in Python's data
model). The module remains the object it was, so it makes no difference who holds it already.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from types import FrameType, ModuleType
from typing import Any

from ferromongo._install_pairs import Pairs
from ferromongo._install_table import ON_PYMONGO, package

# Where `ModuleType` keeps a namespace, whatever the module's class says of it.
_NAMESPACE: Any = vars(ModuleType)["__dict__"]

# Further packages that go on with PyMongo's classes.
staying: set[str] = set()


def namespace(module: ModuleType) -> dict[str, Any]:
    """The true namespace: runs no code of the module's."""
    found: dict[str, Any] = _NAMESPACE.__get__(module)
    return found


def put_on(module: ModuleType, pairs: Pairs) -> None:
    """Let the module show ferromongo's classes; again after its namespace has changed."""
    names = [name for name, value in namespace(module).copy().items() if value in pairs]
    if names:
        base = _class_below(module)
        members: dict[str, Any] = {name: _Name(name, pairs) for name in names}
        module.__class__ = type(base.__name__, (_Facade, base), members | {"_pairs": pairs})


def take_off(module: ModuleType) -> None:
    """Undo `put_on`."""
    module.__class__ = _class_below(module)


def is_on(module: ModuleType) -> bool:
    return issubclass(type(module), _Facade)


def _class_below(module: ModuleType) -> type[ModuleType]:
    kind = type(module)
    return kind.__mro__[2] if issubclass(kind, _Facade) else kind


class _Name:
    """One attribute of a module. The namespace always holds PyMongo's class.

    So what is set from outside is seen inside too, as without `install` (`unittest.mock.patch`),
    and setting back what was found leaves nothing behind.
    """

    def __init__(self, name: str, pairs: Pairs) -> None:
        self._name = name
        self._pairs = pairs

    def __get__(self, module: ModuleType | None, owner: type | None = None) -> Any:
        if module is None:
            return self
        try:
            value = namespace(module)[self._name]
        except KeyError:
            message = f"module {module.__name__!r} has no attribute {self._name!r}"
            raise AttributeError(message, name=self._name, obj=module) from None
        return value if stays(sys._getframe(1)) else self._pairs.ours(value)

    def __set__(self, module: ModuleType, value: Any) -> None:
        namespace(module)[self._name] = self._pairs.theirs(value)

    def __delete__(self, module: ModuleType) -> None:
        try:
            del namespace(module)[self._name]
        except KeyError:
            raise AttributeError(self._name) from None


class _View(dict[str, Any]):
    """What `vars(module)` returns: what is stored in it goes to the module."""

    def __init__(self, module: ModuleType, pairs: Pairs) -> None:
        super().__init__({k: pairs.ours(v) for k, v in namespace(module).copy().items()})
        self._module = module

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self._module, name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        delattr(self._module, name)

    # Those of a dict do not call the two above.
    update = MutableMapping.update
    setdefault = MutableMapping.setdefault
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear


class _Facade(ModuleType):
    """Base of the classes of such modules, each of which has the names that it replaces."""

    _pairs: Pairs

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        frame = sys._getframe(1)
        # A loader runs the module's code in its namespace, when it is reloaded.
        if stays(frame) or frame.f_code.co_name == "exec_module":
            return namespace(self)
        return _View(self, self._pairs)

    def __getattr__(self, name: str) -> Any:
        # That it is here makes the interpreter (CPython 3.14) look at the class first, and not read
        # the namespace at once, as it does for modules without a `__getattribute__` of their own.
        return ModuleType.__getattribute__(self, name)


def stays(frame: FrameType) -> bool:
    """Whether the code of this frame goes on with PyMongo's classes."""
    name = package(frame.f_globals.get("__name__"))
    return name in ON_PYMONGO or name in staying
