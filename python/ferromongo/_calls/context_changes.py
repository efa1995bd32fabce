"""Context variables that are set for a while, by code that may end in another context."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

from ferromongo._pymongo_internals import DEADLINE, TIMEOUT


class ContextChanges:
    """What to take back, without tokens: they are good for one context only, and tasks and threads
    that are started meanwhile have copies of it.
    """

    def __init__(self) -> None:
        self._changed: list[tuple[ContextVar[Any], Any, Any]] = []

    def set(self, variable: ContextVar[Any], value: Any) -> None:
        self._changed.append((variable, variable.get(), value))
        variable.set(value)

    def limit_time(self, seconds: float) -> None:
        """As `pymongo.timeout` does."""
        self.set(TIMEOUT, seconds)
        self.set(DEADLINE, min(DEADLINE.get(), time.monotonic() + seconds))

    def note(self, variable: ContextVar[Any], before: Any) -> None:
        """Take back what somebody else has set."""
        self._changed.append((variable, before, variable.get()))

    def undo(self) -> None:
        """May be called in each of the contexts, and more than once."""
        for variable, before, inside in reversed(self._changed):
            if variable.get() is inside:
                variable.set(before)

    # Ctrl-C may come before anybody has got hold of the object.
    __del__ = undo
