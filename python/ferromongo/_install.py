"""Programs that import PyMongo get ferromongo's classes, without a change to them.

Names are replaced where PyMongo has them and wherever a module already imported them to. What
holds PyMongo's classes otherwise stays as it is: classes derived from them, objects made before.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import RLock
from types import ModuleType

# PyMongo's package, ours, the module in `synchronous` of both: classes that are ferromongo's own.
_CLASSES = {
    ("pymongo", "ferromongo", "mongo_client"): ("MongoClient",),
    ("pymongo", "ferromongo", "database"): ("Database",),
    ("pymongo", "ferromongo", "collection"): ("Collection",),
    ("pymongo", "ferromongo", "cursor"): ("Cursor", "RawBatchCursor"),
    ("pymongo", "ferromongo", "command_cursor"): ("CommandCursor", "RawBatchCommandCursor"),
    ("pymongo", "ferromongo", "client_session"): ("ClientSession",),
    ("pymongo", "ferromongo", "change_stream"): (
        "ChangeStream",
        "ClusterChangeStream",
        "CollectionChangeStream",
        "DatabaseChangeStream",
    ),
    ("gridfs", "ferromongo.gridfs", "grid_file"): (
        "GridFS",
        "GridFSBucket",
        "GridIn",
        "GridOut",
        "GridOutCursor",
        "GridOutIterator",
    ),
}

_lock = RLock()
# What was replaced: the module, its name for the class, PyMongo's class and ferromongo's.
_replaced: list[tuple[ModuleType, str, type, type]] = []


def install() -> None:
    """Let `pymongo` and `gridfs` imports resolve to ferromongo's classes, in the whole process.

    For programs whose imports cannot be changed, an ODM's or a framework's:

        import ferromongo

        ferromongo.install()

    Clients, databases, collections, cursors, change streams, sessions and GridFS, synchronous and
    asynchronous, are then ferromongo's under every path of PyMongo, and in every module that
    imported them before by name. `bson`, `pymongo.errors`, options, results and the other value
    types stay PyMongo's: ferromongo uses them itself. Call it before the first client is made: an
    object made before stays PyMongo's and must not be used together with new ones; so does a class
    that was derived from one of PyMongo's before. Calling it again replaces what was imported in
    between.
    """
    with _lock:
        ours_for = {id(theirs): (theirs, ours) for theirs, ours in _pairs()}
        for module in list(sys.modules.values()):
            if not isinstance(module, ModuleType) or _is_ours(module):
                continue
            for name, value in list(vars(module).items()):
                if (pair := ours_for.get(id(value))) is not None:
                    setattr(module, name, pair[1])
                    _replaced.append((module, name, *pair))


def uninstall() -> None:
    """Undo `install`: the names it replaced are PyMongo's again, unless set anew since.

    A module that imported a class by name while ferromongo was installed keeps ferromongo's.
    """
    with _lock:
        for module, name, theirs, ours in _replaced:
            if vars(module).get(name) is ours:
                setattr(module, name, theirs)
        _replaced.clear()


def installed() -> bool:
    """Whether `install` is in force."""
    return bool(_replaced)


def _pairs() -> list[tuple[type, type]]:
    """PyMongo's class and what takes its place. Importing both makes their modules known."""
    pairs = []
    for api, prefix in (("synchronous", ""), ("asynchronous", "Async")):
        for (their_package, our_package, module), names in _CLASSES.items():
            theirs = import_module(f"{their_package}.{api}.{module}")
            ours = import_module(f"{our_package}.{api}.{module}")
            for name in (prefix + name for name in names):
                pairs.append((getattr(ours, name), getattr(theirs, name)))
    # While installed the names in PyMongo's modules are ours: its classes are remembered.
    known = {ours: theirs for _, _, theirs, ours in _replaced}
    return [(known.get(ours, theirs), ours) for ours, theirs in pairs]


def _is_ours(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] == "ferromongo"
