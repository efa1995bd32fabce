"""How Motor's methods begin at once: on the loop of their client, as running Futures.

An operation that is a single call of the engine needs no task: `_drive.start` sends it, and the
socket's answer completes the Future. What takes several steps is a task.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ferromongo._drive import start

if TYPE_CHECKING:
    from ferromongo._drive import Pending
    from ferromongo.motor.core.base import OnLoop

_T = TypeVar("_T")
_P = ParamSpec("_P")


def loop_of(owner: OnLoop) -> AbstractEventLoop:
    """The asyncio loop that the operations of `owner` run on."""
    return owner._framework.asyncio_loop(owner.get_io_loop())


def started(
    owner: OnLoop, call: Callable[_P, Pending[_T]], *args: _P.args, **kwargs: _P.kwargs
) -> Future[_T]:
    """Begin the operation that `call` makes. What is wrong with its arguments the Future raises."""
    loop = owner._framework.asyncio_loop(owner.get_io_loop())
    try:
        pending = call(*args, **kwargs)
    except Exception as error:
        return failed(loop, error)
    return start(pending, loop)


def running(owner: OnLoop, steps: Coroutine[Any, Any, _T]) -> Future[_T]:
    """Begin an operation of several steps: a task of the loop."""
    loop = loop_of(owner)
    try:
        if asyncio._get_running_loop() is loop or not loop.is_running():
            return loop.create_task(steps)
        # Called in another thread than the loop's.
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(steps, loop), loop=loop)
    except RuntimeError:
        steps.close()
        raise


def known(loop: AbstractEventLoop, result: _T) -> Future[_T]:
    """A Future that is done."""
    future: Future[_T] = loop.create_future()
    future.set_result(result)
    return future


def failed(loop: AbstractEventLoop, error: BaseException) -> Future[Any]:
    """A Future that raises."""
    future: Future[Any] = loop.create_future()
    if isinstance(error, StopIteration):
        error = RuntimeError(f"an operation raised {error!r}")
    future.set_exception(error)
    return future
