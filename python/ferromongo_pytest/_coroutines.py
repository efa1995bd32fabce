"""Coroutines run by fixtures that are not coroutines, and so need no plugin for event loops."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def at_once(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that never waits; it runs in the caller's context."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    coroutine.close()
    raise RuntimeError(f"{coroutine} waits")


def in_another_thread(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end. Not in this thread: a loop may be running here, or be the one
    that a plugin has set for the tests to come."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="ferromongo-fixture")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
