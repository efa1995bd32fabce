"""`@non_atomic_requests`: views that have no part in the transaction of their request."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, ParamSpec, TypeVar

from ferromongo.middleware._context import REQUESTS
from ferromongo.transaction import outside_transaction

_T = TypeVar("_T")
_P = ParamSpec("_P")


def non_atomic_requests(view: Callable[_P, _T]) -> Callable[_P, _T]:
    """The view, whose operations are not part of the transaction of the request.

    For functions and methods, sync and async, of every framework. Routing decorators go above it.
    Without a middleware it changes nothing.
    """
    if inspect.isclass(view) or not callable(view):
        raise TypeError(f"non_atomic_requests decorates functions and methods, not {view!r}")
    decorated: Any = _decorated(view)
    if decorated is not view:
        decorated = functools.wraps(view)(decorated)
        setattr(decorated, _MARK, True)
    return decorated  # type: ignore[no-any-return]


def is_non_atomic(view: object) -> bool:
    """Whether the view was decorated, below other decorators maybe: these copy its attributes."""
    return bool(getattr(view, _MARK, False))


def _decorated(view: Any) -> Any:
    if inspect.isgeneratorfunction(view) or inspect.isasyncgenfunction(view):
        return view  # Its body runs while the response is sent, which is after the transaction.
    if inspect.iscoroutinefunction(view):

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with _outside_requests():
                return await view(*args, **kwargs)

        return awaited

    def called(*args: Any, **kwargs: Any) -> Any:
        with _outside_requests():
            answered = view(*args, **kwargs)
        return _awaited(answered) if inspect.isawaitable(answered) else answered

    return called


async def _awaited(answered: Awaitable[_T]) -> _T:
    with _outside_requests():
        return await answered


def _outside_requests() -> ExitStack:
    stack = ExitStack()
    for request in REQUESTS.get():
        stack.enter_context(outside_transaction(request.client))
    return stack


_MARK = "_ferromongo_non_atomic_requests"
