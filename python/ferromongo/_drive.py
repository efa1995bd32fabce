"""How a pending call is carried out: `run` blocks the thread, `drive` lets the event loop go on.

Nothing else in the public layer knows which of the two happens; the converter that generates the
synchronous classes swaps `await drive(...)` for `run(...)`, `await pause(...)` for `sleep(...)`,
`await answer(...)` and `await shielded(...)` for `plain_answer(...)`, and `await off_loop(...)` for
`directly(...)`.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ferromongo._core import start as start  # begins a call on a loop and returns its Future

if TYPE_CHECKING:
    from ferromongo._core import Pending as Pending

_T = TypeVar("_T")
_P = ParamSpec("_P")


def run(pending: Pending[_T]) -> _T:
    """Send the call and block this thread until it is answered."""
    return pending.run()


def drive(pending: Pending[_T]) -> Awaitable[_T]:
    """The awaitable that sends the call on the running event loop."""
    return pending


def sleep(seconds: float) -> None:
    """Block this thread for `seconds`."""
    time.sleep(seconds)


def plain_answer(answered: _T) -> _T:
    """What the user's function answered. TypeError if nothing of it has run yet."""
    if inspect.iscoroutine(answered):
        answered.close()
        raise TypeError("an async function needs the API of an AsyncMongoClient")
    return answered


async def answer(answered: Any) -> Any:
    """What the user's function answered, awaited if it is async."""
    return await answered if inspect.isawaitable(answered) else answered


async def pause(seconds: float) -> None:
    """Let other tasks run for `seconds`."""
    await asyncio.sleep(seconds)


def directly(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What the function returns, which may block this thread."""
    return function(*args, **kwargs)


async def off_loop(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What the function returns, which blocks another thread instead of the event loop.

    A cancelled caller waits for it, so that it does not close a file that the function still uses.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    cancelled: BaseException | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and not task.cancelled():
        task.exception()  # or asyncio would log it as never retrieved
        raise cancelled
    return await task


async def shielded(work: Coroutine[Any, Any, _T]) -> _T:
    """Carry out a clean-up; when the caller is cancelled meanwhile, in the background."""
    task = asyncio.ensure_future(work)
    _IN_BACKGROUND.add(task)
    task.add_done_callback(_IN_BACKGROUND.discard)
    return await asyncio.shield(task)


# The event loop itself keeps no reference to its tasks.
_IN_BACKGROUND: set[asyncio.Future[Any]] = set()
