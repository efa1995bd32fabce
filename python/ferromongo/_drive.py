"""How a pending call is carried out: `run` blocks the thread, `drive` lets the event loop go on.

Nothing else in the public layer knows which of the two happens; the converter that generates the
synchronous classes swaps `await drive(...)` for `run(...)`, `await pause(...)` for `sleep(...)` and
`await answer(...)` for `plain_answer(...)`.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from ferromongo._core import start as start  # begins a call on a loop and returns its Future

if TYPE_CHECKING:
    from ferromongo._core import Pending as Pending

_T = TypeVar("_T")


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
