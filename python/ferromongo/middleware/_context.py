"""What the transaction of a request changes in the context, and the reasons to roll it back."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any

from ferromongo._calls.bases import ClientBase
from ferromongo._calls.sessions import AMBIENT
from ferromongo._pymongo_internals import DEADLINE, TIMEOUT


class RequestContext:
    """The context variables of a request that is in its transaction.

    Tasks and threads that a framework starts for the request have copies of the context, and the
    response may start in one of them. So `leave` can be called in each of them, and has no tokens.
    """

    error: BaseException | None = None
    """An exception of the application that its framework makes a response of."""

    def __init__(self, client: ClientBase, timeout: float | None) -> None:
        self.client = client
        self._changed: list[tuple[ContextVar[Any], Any, Any]] = []
        self._ambient = AMBIENT.get()
        self._set(REQUESTS, (*REQUESTS.get(), self))
        if timeout is not None:
            deadline = time.monotonic() + timeout
            self._set(TIMEOUT, timeout)
            self._set(DEADLINE, min(DEADLINE.get(), deadline))

    def entered(self) -> None:
        """After the block has been entered."""
        self._changed.append((AMBIENT, self._ambient, AMBIENT.get()))

    def leave(self) -> None:
        """Operations are outside of the transaction from here on. May be called more than once."""
        self.error = None
        for variable, before, inside in self._changed:
            if variable.get() is inside:
                variable.set(before)

    def _set(self, variable: ContextVar[Any], value: Any) -> None:
        self._changed.append((variable, variable.get(), value))
        variable.set(value)


class RolledBackByResponse(Exception):
    """Why a transaction was rolled back although no exception was raised. It is never raised."""


REQUESTS: ContextVar[tuple[RequestContext, ...]] = ContextVar("ferromongo_requests", default=())
"""Those that are being handled here: more than one if several middlewares have clients."""
