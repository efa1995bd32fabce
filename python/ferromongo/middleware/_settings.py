"""The arguments of the middlewares, checked, and what they mean for a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

from ferromongo._calls.atomic import atomic_options
from ferromongo._calls.atomic_arguments import BlockArguments
from ferromongo._calls.bases import ClientBase

_Client = TypeVar("_Client", bound=ClientBase)


class Settings(Generic[_Client]):
    """Of one middleware.

    :param client: the client, or a function that returns the one for a request
    :param kinds: the classes of clients that work with the protocol
    :param refusal: what to say of others
    """

    def __init__(
        self,
        client: Any,
        kinds: tuple[type[_Client], ...],
        refusal: str,
        safe_methods: bool,
        rollback_on: Callable[[int], bool],
        options: BlockArguments,
    ) -> None:
        unknown = options.keys() - BlockArguments.__annotations__.keys()
        if unknown:
            raise TypeError(f"unknown options of a transaction per request: {sorted(unknown)}")
        atomic_options(**options)
        if not callable(rollback_on):
            raise TypeError(f"rollback_on must be a function of the status, not {rollback_on!r}")
        self._client = client
        self._kinds = kinds
        self._refusal = refusal
        self._safe_methods = safe_methods
        self.rollback_on = rollback_on
        self.timeout = options.get("timeout")
        # The middlewares limit the time themselves: see RequestContext.
        self.atomic: Any = {name: value for name, value in options.items() if name != "timeout"}
        if not self._is_looked_up():
            self.client_of(None)

    def has_transaction(self, method: str) -> bool:
        return self._safe_methods or method not in _SAFE_METHODS

    def client_of(self, request: Any) -> _Client:
        """The client for the request: its ASGI scope, WSGI environment, or Django's object."""
        client = self._client(request) if self._is_looked_up() else self._client
        if not isinstance(client, self._kinds):
            self._refuse(client)
        return client

    def _is_looked_up(self) -> bool:
        return not isinstance(self._client, ClientBase) and callable(self._client)

    def _refuse(self, client: Any) -> NoReturn:
        raise TypeError(f"{self._refusal}, not {type(client)}")


def is_server_error(status: int) -> bool:
    """Whether a response of this status rolls back, if nothing else is said."""
    return status >= 500


_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
