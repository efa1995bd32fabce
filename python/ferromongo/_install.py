"""Programs that import PyMongo get ferromongo's classes, without a change to them.

Three things are changed, and changed back by `uninstall`. Modules of PyMongo show ferromongo's
classes (`_install_facade.py`). Names in other modules that had imported one of PyMongo's classes
are ferromongo's, and so are attributes of classes there (`_install_names.py`). Wrappers that others
had put around PyMongo's methods are around ferromongo's (`_install_wrappers.py`). PyMongo's own
code is not affected.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from importlib import import_module
from threading import RLock
from types import ModuleType

from ferromongo import _install_facade as facade
from ferromongo._install_facade import namespace
from ferromongo._install_imports import Finder
from ferromongo._install_names import Replaced
from ferromongo._install_pairs import Pairs
from ferromongo._install_private_names import PrivateNames
from ferromongo._install_table import AT_ONCE, CLASSES, ON_PYMONGO, package
from ferromongo._install_wrappers import Carried, carry_over, of_the_engine


class _Installation:
    """What is in force, for `uninstall` to undo."""

    def __init__(self) -> None:
        self.pairs = Pairs()
        self.finder = Finder(frozenset(map(package, CLASSES)), self.loaded)
        self.private_names = PrivateNames()
        self.carried: list[Carried] = []
        self.replaced = Replaced()
        self.warned: set[str] = set()

    def loaded(self, module: ModuleType) -> None:
        """Called by the importer, which holds the module's import lock: it must not wait for ours.

        So it may run before `install` has ended, or after `uninstall`.
        """
        self.pairs.add(module, namespace(module))
        if _installation is self:
            facade.put_on(module, self.pairs)
        if _installation is not self and facade.is_on(module):
            facade.take_off(module)


_LOG = logging.getLogger("ferromongo")
_lock = RLock()
_installation: _Installation | None = None


def install() -> None:
    """Let `pymongo` and `gridfs` imports resolve to ferromongo's classes, in the whole process.

    For programs whose imports cannot be changed, an ODM's or a framework's:

        import ferromongo

        ferromongo.install()

    Clients, databases, collections, cursors, change streams, sessions and GridFS, synchronous and
    asynchronous, are then ferromongo's under every path of PyMongo, and in every module that
    imported them before by name. `bson`, `pymongo.errors`, options, results and the other value
    types stay PyMongo's: ferromongo uses them itself. Calling it again replaces what was imported
    in between.

    Motor's classes are `ferromongo.motor`'s, if the program imports Motor, before or after.

    Objects that were made before, and classes that were derived from PyMongo's before, go on with
    PyMongo's engine. A package other than the caller's that had derived such a class
    keeps PyMongo's names, and a warning (RuntimeWarning) says so. Methods of PyMongo's that an
    agent has wrapped are wrapped in ferromongo too; those for which that is not possible are named
    by a warning. Wrappers within PyMongo's engine stay there; the logger `ferromongo` names them.
    """
    global _installation
    caller = package(sys._getframe(1).f_globals.get("__name__"))
    installation = _installation or _Installation()
    # Imports wait for other threads that import, which may wait for `_lock`: not to be held here.
    for name in CLASSES:
        if package(name) in AT_ONCE or name in sys.modules:
            module = import_module(name)
            installation.pairs.add(module, namespace(module))
    with _lock:
        if _installation is None:
            _installation = installation
            sys.meta_path.insert(0, installation.finder)
        installation = _installation
        _keep_deriving_packages(installation, caller)
        installation.private_names.offer()
        carried, left = carry_over(installation.pairs, installation.carried)
        installation.carried += carried
        _replace_names(installation)
        complaints = _complaints(installation, left)
        within = sorted(set(of_the_engine(installation.pairs)) - installation.warned)
        installation.warned.update(within)
    if within:
        # Not a warning: these wrappers are where they were, and a program that makes errors of
        # warnings could not be started under an agent.
        _LOG.warning(
            "ferromongo does not use PyMongo's engine, so wrappers there see PyMongo's own clients "
            "only: %s",
            ", ".join(within),
        )
    for complaint in complaints:
        warnings.warn(complaint, RuntimeWarning, stacklevel=2)


def uninstall() -> None:
    """Undo `install`: what it replaced is PyMongo's again, unless it was set again since.

    A module that imported a class by name while ferromongo was installed keeps ferromongo's.
    """
    global _installation
    with _lock:
        installation, _installation = _installation, None
        if installation is None:
            return
        if installation.finder in sys.meta_path:
            sys.meta_path.remove(installation.finder)
        for module in _modules():
            if facade.is_on(module):
                facade.take_off(module)
        installation.replaced.undo()
        for carried in reversed(installation.carried):
            carried.undo()
        installation.private_names.withdraw()
        installation.carried.clear()
        facade.staying.clear()


def installed() -> bool:
    """Whether `install` is in force."""
    return _installation is not None


def _replace_names(installation: _Installation) -> None:
    pairs, packages = installation.pairs, {package(name) for name in CLASSES}
    modules = _modules()
    # First the modules that others import from: no import finds PyMongo's classes from here on.
    for module in modules:
        if package(namespace(module).get("__name__")) in packages:
            facade.put_on(module, pairs)
    for module in modules:
        if not _is_not_touched(namespace(module)):
            installation.replaced.replace_in(module, pairs)


def _keep_deriving_packages(installation: _Installation, caller: str) -> None:
    """Classes that derive from PyMongo's look PyMongo's names up, and meet others in their package.

    Of the caller's own package the caller knows.
    """
    exempt = ON_PYMONGO | sys.stdlib_module_names | {"ferromongo", caller, ""}
    for theirs, _ in installation.pairs.all():
        names = {package(derived.__module__) for derived in _derived(theirs)}
        facade.staying.update(names - exempt)


def _derived(cls: type) -> list[type]:
    found: list[type] = list(cls.__subclasses__())
    for derived in found:
        found += derived.__subclasses__()
    return found


def _taken(pairs: Pairs) -> list[str]:
    """Public names of PyMongo that stood for something else already, and are left so."""
    names = {name for _, names in CLASSES.values() for name in names}
    public = {".".join(path.rsplit(".", 2)[::2]) for path in CLASSES} | set(AT_ONCE)
    return [
        f"{module.__name__}.{name} ({value!r})"
        for module in _modules()
        if namespace(module).get("__name__") in public
        for name, value in namespace(module).copy().items()
        if name in names and callable(value) and value not in pairs
        if pairs.theirs(value) is value
        if package(getattr(value, "__module__", "")) not in sys.stdlib_module_names
    ]


def _complaints(installation: _Installation, left: list[str]) -> list[str]:
    """What has not been said yet."""
    complaints = []
    kept = sorted(facade.staying - installation.warned)
    if kept:
        complaints.append(
            f"Classes were derived from PyMongo's before ferromongo.install(), so these packages "
            f"stay on PyMongo: {', '.join(kept)}. Call install() before they are imported."
        )
    left = sorted(set(left) - installation.warned)
    if left:
        complaints.append(
            f"Methods of PyMongo are wrapped in a way that ferromongo.install() cannot repeat, so "
            f"these wrappers will not run: {', '.join(left)}."
        )
    taken = sorted(set(_taken(installation.pairs)) - installation.warned)
    if taken:
        complaints.append(
            f"These names had been given other values before ferromongo.install(), and keep them: "
            f"{', '.join(taken)}."
        )
    installation.warned.update(kept, left, taken)
    return complaints


def _is_not_touched(variables: dict[str, object]) -> bool:
    top = package(variables.get("__name__"))
    return top == "ferromongo" or top in ON_PYMONGO or top in facade.staying


def _modules() -> list[ModuleType]:
    """Some packages put other objects into `sys.modules`, or modules that lie about their class."""
    found = sys.modules.copy().values()
    return [module for module in found if issubclass(type(module), ModuleType)]


def _renew_lock() -> None:
    global _lock
    _lock = RLock()


# A thread that the child does not have may have held it.
os.register_at_fork(after_in_child=_renew_lock)
