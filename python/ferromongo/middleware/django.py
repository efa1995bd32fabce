"""A transaction per request for Django, and the names of `django.db.transaction`.

    FERROMONGO_CLIENT = "shop.mongo.client"  # in the settings
    MIDDLEWARE = [..., "ferromongo.middleware.django.AtomicRequestsMiddleware"]

docs/web.md describes what it does. In views, `from ferromongo.middleware import django as
transaction` takes the place of `from django.db import transaction`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings

from ferromongo._calls.atomic_arguments import BlockArguments
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.middleware._context import RequestContext, RolledBackByResponse, as_arguments
from ferromongo.middleware._django_atomic import atomic, client_of_settings
from ferromongo.middleware._non_atomic import is_non_atomic, non_atomic_requests
from ferromongo.middleware._settings import Settings, is_server_error
from ferromongo.synchronous.mongo_client import MongoClient
from ferromongo.transaction import (
    AsyncAtomic,
    Atomic,
    TransactionRolledBack,
    current_attempt,
    on_commit,
    on_rollback,
    set_rollback,
)
from ferromongo.transaction import atomic as atomic_of_client


class AtomicRequestsMiddleware:
    """Runs each view in a transaction, which is committed before the response starts.

    The transaction starts with the first operation of the client that is given no session. It is
    rolled back if an exception leaves the view, and by the status of the response. If it cannot be
    committed, Django makes a response of the error. Streaming responses are sent outside of it.

    Views may be sync or async, under WSGI and ASGI, and so may the client. It should be the last in
    MIDDLEWARE, where it is the first to see an exception of the view.

    The setting FERROMONGO_CLIENT is the client, a function of the request that returns it, or the
    dotted path of either. FERROMONGO_ATOMIC_REQUESTS may be a dictionary with `safe_methods`,
    `rollback_on` and the options. A subclass may have attributes and methods instead.
    """

    sync_capable = True
    async_capable = True

    client: MongoClient[Any] | AsyncMongoClient[Any] | None = None
    """Instead of the setting."""
    safe_methods: bool = True
    """Whether GET, HEAD, OPTIONS and TRACE have a transaction, too."""
    options: BlockArguments = {}
    """Those of `atomic`: `read_concern`, `write_concern`, `read_preference`, `max_commit_time_ms`,
    `concurrency`; and `timeout`, the seconds for all operations of a request up to the commit."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
            # Django looks at which kind of function it is.
            self.process_view = self._process_view_async  # type: ignore[method-assign]
        given: Any = {
            "safe_methods": self.safe_methods,
            "rollback_on": self.rollback_on,
            **self.options,
            **getattr(settings, "FERROMONGO_ATOMIC_REQUESTS", {}),
        }
        kinds = (MongoClient, AsyncMongoClient)
        methods, rollback_on = given.pop("safe_methods"), given.pop("rollback_on")
        self._settings: Settings[Any] = Settings(
            self.get_client, kinds, _REFUSAL, methods, rollback_on, given
        )

    def get_client(self, request: Any) -> MongoClient[Any] | AsyncMongoClient[Any]:
        """The client for the request. A subclass may choose."""
        return client_of_settings(request) if self.client is None else self.client

    def rollback_on(self, status: int) -> bool:
        """Whether a response with this status rolls back: those from 500 on."""
        return is_server_error(status)

    def __call__(self, request: Any) -> Any:
        """The response; a coroutine under ASGI."""
        if self._is_async:
            return self._respond_async(request)
        try:
            response = self.get_response(request)
            self._end(request, self._reason(response))
        except BaseException as error:
            self._end(request, error)
            raise
        return response

    async def _respond_async(self, request: Any) -> Any:
        try:
            response = await self.get_response(request)
            await self._end_async(request, self._reason(response))
        except BaseException as error:
            await self._end_async(request, error)
            raise
        return response

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        """Begin, unless the view says otherwise: now it is known."""
        if (begun := self._begin(request, view)) is None:
            return
        try:
            if isinstance(begun.block, AsyncAtomic):
                async_to_sync(begun.block.__aenter__)()
            else:
                begun.block.__enter__()
        except BaseException:
            begun.context.leave()
            raise
        self._entered(request, begun)

    async def _process_view_async(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        if (begun := self._begin(request, view)) is None:
            return
        try:
            if isinstance(begun.block, AsyncAtomic):
                await begun.block.__aenter__()
            else:
                begun.block.__enter__()  # sends nothing
        except BaseException:
            begun.context.leave()
            raise
        self._entered(request, begun)

    def process_exception(self, request: Any, exception: Exception) -> None:
        """Roll back, before the exception becomes a response. Django calls it in a thread."""
        self._end(request, exception)

    def _begin(self, request: Any, view: Any) -> _Begun | None:
        if is_non_atomic(view) or not self._settings.has_transaction(request.method):
            return None
        client = self._settings.client_of(request)
        block = atomic_of_client(client, **self._settings.atomic)
        return _Begun(block, RequestContext(client, self._settings.timeout))

    def _entered(self, request: Any, begun: _Begun) -> None:
        begun.context.entered()
        setattr(request, self._attribute, begun)

    def _reason(self, response: Any) -> BaseException | None:
        status = response.status_code
        if self._settings.rollback_on(status):
            return RolledBackByResponse(f"the status is {status}")
        return None

    def _end(self, request: Any, error: BaseException | None) -> None:
        begun: _Begun | None = vars(request).pop(self._attribute, None)
        if begun is None:
            return
        try:
            if isinstance(begun.block, AsyncAtomic):
                async_to_sync(begun.block.__aexit__)(*as_arguments(error))
            else:
                begun.block.__exit__(*as_arguments(error))
        finally:
            begun.context.leave()

    async def _end_async(self, request: Any, error: BaseException | None) -> None:
        begun: _Begun | None = vars(request).pop(self._attribute, None)
        if begun is None:
            return
        try:
            if isinstance(begun.block, AsyncAtomic):
                await begun.block.__aexit__(*as_arguments(error))
            else:
                await sync_to_async(begun.block.__exit__)(*as_arguments(error))
        finally:
            begun.context.leave()

    @property
    def _attribute(self) -> str:
        """Of the request, which has its transaction there until that has ended."""
        return f"_ferromongo_atomic_{id(self)}"


class _Begun(NamedTuple):
    block: Atomic | AsyncAtomic
    context: RequestContext


_REFUSAL = "the client of AtomicRequestsMiddleware must be a MongoClient or an AsyncMongoClient"

__all__ = [
    "AtomicRequestsMiddleware",
    "TransactionRolledBack",
    "atomic",
    "current_attempt",
    "non_atomic_requests",
    "on_commit",
    "on_rollback",
    "set_rollback",
]
