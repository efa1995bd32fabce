"""Methods whose result is a cursor: awaited, or iterated and entered at once.

cursor = await orders.aggregate(pipeline)
async for order in orders.aggregate(pipeline): ...
async with orders.watch() as stream: ...
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_C = TypeVar("_C")
_C_co = TypeVar("_C_co", covariant=True)
_D_co = TypeVar("_D_co", covariant=True)


class _Iterated(Protocol[_D_co]):
    """A cursor of documents."""

    def __anext__(self) -> Coroutine[Any, Any, _D_co]: ...


def openable(
    method: Callable[_P, Coroutine[Any, Any, _C]],
) -> Callable[_P, Opening[_C]]:
    """The method, with a coroutine that may be iterated and entered, too."""

    @functools.wraps(method)
    def opening(*args: _P.args, **kwargs: _P.kwargs) -> Opening[_C]:
        return Opening(method(*args, **kwargs))

    _mark_coroutine_function(opening)
    return opening


class Opening(Coroutine[Any, Any, _C_co], Generic[_C_co]):
    """The coroutine of such a method, which stands for its cursor where one is expected.

    Whatever takes a coroutine takes it: `await`, tasks, `gather`, `asyncio.run`, `inspect`.
    """

    __slots__ = ("__weakref__", "_coroutine", "_cursor")

    def __init__(self, coroutine: Coroutine[Any, Any, _C_co]) -> None:
        self._coroutine = coroutine
        self._cursor: Any = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """That of a coroutine, for `inspect.iscoroutine`."""
        return types.CoroutineType

    def __await__(self) -> Generator[Any, Any, _C_co]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __getattr__(self, name: str) -> Any:
        """The attributes of a coroutine: `cr_frame`, `__qualname__`, ..."""
        return getattr(self._coroutine, name)

    def __repr__(self) -> str:
        return repr(self._coroutine)

    def __aiter__(self: Opening[_Iterated[_D_co]]) -> AsyncIterator[_D_co]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Any]:
        cursor = self._cursor
        return self._first() if cursor is None else cursor.__anext__()

    async def _first(self) -> Any:
        self._cursor = await self._coroutine
        return await self._cursor.__anext__()

    async def __aenter__(self) -> _C_co:
        cursor = await self._coroutine
        self._cursor = cursor
        await self._cursor.__aenter__()
        return cursor

    async def __aexit__(self, *error: Any) -> Any:
        return await self._cursor.__aexit__(*error)


def _mark_coroutine_function(function: Any) -> None:
    """Have `inspect.iscoroutinefunction` say what callers have to do with it: await it."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:
        # `inspect` looks at this flag only. What a call makes is up to the byte code, since 3.11.
        code = function.__code__
        function.__code__ = code.replace(co_flags=code.co_flags | inspect.CO_COROUTINE)
