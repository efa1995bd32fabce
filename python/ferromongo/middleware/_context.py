"""What the transaction of a request changes in the context, and the reasons to roll it back."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from ferromongo._calls.bases import ClientBase
from ferromongo._calls.context_changes import ContextChanges
from ferromongo._calls.sessions import AMBIENT


class RequestContext:
    """The context variables of a request that is in its transaction.

    Tasks and threads that a framework starts for the request have copies of the context, and the
    response may start in one of them: `leave` can be called in each.
    """

    error: BaseException | None = None
    """An exception of the application that its framework makes a response of."""

    def __init__(self, client: ClientBase, timeout: float | None) -> None:
        self.client = client
        self._changes = ContextChanges()
        self._ambient = AMBIENT.get()
        self._changes.set(REQUESTS, (*REQUESTS.get(), self))
        if timeout is not None:
            self._changes.limit_time(timeout)

    def entered(self) -> None:
        """After the block has been entered."""
        self._changes.note(AMBIENT, self._ambient)

    def leave(self) -> None:
        """Operations are outside of the transaction from here on. May be called more than once."""
        self.error = None
        self._changes.undo()


class RolledBackByResponse(Exception):
    """Why a transaction was rolled back although no exception was raised. It is never raised."""


def as_arguments(error: BaseException | None) -> Any:
    """Of `__exit__` and `__aexit__`."""
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


REQUESTS: ContextVar[tuple[RequestContext, ...]] = ContextVar("ferromongo_requests", default=())
"""Those that are being handled here: more than one if several middlewares have clients."""
