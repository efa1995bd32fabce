"""How a pending call is carried out: `run` blocks the thread, `drive` lets the event loop go on.

Nothing else in the public layer knows which of the two happens; the converter that generates the
synchronous classes swaps `await drive(...)` for `run(...)`, `await pause(...)` for `sleep(...)` and
`await awaited(...)` for `given(...)`.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ferromongo._core import Pending

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


async def pause(seconds: float) -> None:
    """Let other tasks run for `seconds`."""
    await asyncio.sleep(seconds)


def given(value: Any) -> Any:
    """What a method of the user's answered: a synchronous one's result."""
    return value


async def awaited(value: Any) -> Any:
    """What a method of the user's answered, a file's `read` say, which may be a coroutine."""
    return await value if inspect.isawaitable(value) else value
