"""Which public methods call which: what overrides or patches one of them changes the others.

`Watch` replaces the public methods of the classes by ones that note who called them, and then call
the original: in the classes themselves, as `mock.patch` does or as agents do with wrapt, or in
subclasses. A pair (caller,
callee) is noted if the callee was called while the caller ran.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import inspect
import io
from collections.abc import Iterable, Iterator
from typing import Any

import wrapt

MODULES = {
    "MongoClient": "mongo_client",
    "Database": "database",
    "Collection": "collection",
    "Cursor": "cursor",
    "RawBatchCursor": "cursor",
    "CommandCursor": "command_cursor",
    "RawBatchCommandCursor": "command_cursor",
    "ClientSession": "client_session",
    "ChangeStream": "change_stream",
    "CollectionChangeStream": "change_stream",
    "DatabaseChangeStream": "change_stream",
    "ClusterChangeStream": "change_stream",
    "GridFS": "gridfs",
    "GridFSBucket": "gridfs",
    "GridIn": "gridfs",
    "GridOut": "gridfs",
    "GridOutCursor": "gridfs",
}
"""The public classes by the names of the synchronous ones."""

SPECIAL = {
    "__getitem__",
    "__getattr__",
    "__call__",
    "__next__",
    "__iter__",
    "__enter__",
    "__exit__",
    "__anext__",
    "__aiter__",
    "__aenter__",
    "__aexit__",
}

_BUILTIN = (object, io.IOBase)


def classes(package: str, is_async: bool) -> dict[str, type]:
    """Those of `pymongo` or `ferromongo`."""
    api, prefix = ("asynchronous", "Async") if is_async else ("synchronous", "")
    grid = "gridfs" if package == "pymongo" else f"{package}.gridfs"
    found = {}
    for name, module in MODULES.items():
        path = f"{grid}.{api}.grid_file" if module == "gridfs" else f"{package}.{api}.{module}"
        found[name] = getattr(importlib.import_module(path), prefix + name)
    return found


class Watch:
    """The pairs of methods that were called, of one package and one API."""

    def __init__(self, kinds: dict[str, type]) -> None:
        self._kinds = kinds
        self._names = {kind: name for name, kind in kinds.items()}
        self._callers = contextvars.ContextVar[tuple[str, ...]]("callers", default=())
        self.pairs: set[tuple[str, str]] = set()

    def subclasses(self) -> dict[str, type]:
        """Subclasses that override every public method."""
        return {
            name: type(kind.__name__, (kind,), self._overrides(kind, dir(kind)))
            for name, kind in self._kinds.items()
        }

    @contextlib.contextmanager
    def patched(self, by_wrapt: bool = False) -> Iterator[None]:
        """The classes with every public method of their own replaced."""
        with contextlib.ExitStack() as undo:
            replaced = [(kind, self._overrides(kind, self._own(kind))) for kind in self._names]
            for kind, methods in replaced:
                for name, method in methods.items():
                    if by_wrapt and not name.startswith("__"):
                        method = _of_wrapt(inspect.getattr_static(kind, name), method)
                    if name in vars(kind):
                        undo.callback(setattr, kind, name, vars(kind)[name])
                    else:
                        undo.callback(delattr, kind, name)
                    setattr(kind, name, method)
            yield

    def _own(self, kind: type) -> set[str]:
        """What it does not have from another public class."""
        bases = [base for base in kind.__mro__[1:] if base in self._names or base in _BUILTIN]
        inherited = {name for base in bases for name in dir(base)}
        return (set(dir(kind)) - inherited) | set(vars(kind))

    def _overrides(self, kind: type, names: Iterable[str]) -> dict[str, Any]:
        return {
            name: self._noting(name, method)
            for name in names
            if (not name.startswith("_") or name in SPECIAL)
            and inspect.isroutine(method := inspect.getattr_static(kind, name))
            and not isinstance(method, classmethod | staticmethod)
        }

    def _noting(self, name: str, method: Any) -> Any:
        def note(self_: Any, args: Any) -> tuple[str, ...]:
            callers = self._callers.get()
            if name == "__getattr__" and args[0].startswith("_"):
                return callers  # Python asks for such names, too
            role = next(self._names[base] for base in type(self_).__mro__ if base in self._names)
            callee = f"{role}.{name}"
            self.pairs.update((caller, callee) for caller in callers if caller != callee)
            return (*callers, callee)

        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def call(self_: Any, *args: Any, **kwargs: Any) -> Any:
                token = self._callers.set(note(self_, args))
                try:
                    return await method(self_, *args, **kwargs)
                finally:
                    self._callers.reset(token)
        else:

            @functools.wraps(method)
            def call(self_: Any, *args: Any, **kwargs: Any) -> Any:
                token = self._callers.set(note(self_, args))
                try:
                    return method(self_, *args, **kwargs)
                finally:
                    self._callers.reset(token)

        return call


def _of_wrapt(original: Any, method: Any) -> Any:
    """A wrapper that shows the attributes of the original, and calls `method`."""

    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return method(instance, *args, **kwargs)

    return wrapt.FunctionWrapper(original, call)
