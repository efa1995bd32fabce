"""A session as a decorator: what the functions look like that are called with one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def check_function(function: Any, is_sync: bool) -> None:
    """Raise TypeError for a function that would go on after its session has ended."""
    if not callable(function):
        raise TypeError(f"a session decorates a function, not {type(function)}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("a generator cannot be called with a session that ends with the call")
    if is_sync and inspect.iscoroutinefunction(function):
        raise TypeError("an async function needs a session of an AsyncMongoClient")


def dressed_as(function: Callable[..., Any], wrapper: Any) -> Any:
    """`wrapper` with the name and the text of `function`, and its signature without the session."""
    functools.update_wrapper(wrapper, function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return wrapper
    kept = list(signature.parameters.values())
    if kept and kept[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        del kept[0]
    wrapper.__signature__ = signature.replace(parameters=kept)
    return wrapper
