"""A transaction per request for ASGI applications: Starlette, FastAPI, Litestar, Quart, and others.

    app.add_middleware(AtomicRequestsMiddleware, client=client)

docs/web.md describes what it does, and its place among other middlewares.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Unpack

from ferromongo._calls.atomic_arguments import BlockArguments
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.middleware._context import RequestContext, RolledBackByResponse, as_arguments
from ferromongo.middleware._non_atomic import non_atomic_requests
from ferromongo.middleware._settings import Settings, is_server_error
from ferromongo.transaction import AsyncAtomic, atomic

ASGIScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Any, Any, Any], Awaitable[None]]


class AtomicRequestsMiddleware:
    """Handles each HTTP request in a transaction, which is committed before the response starts.

    The transaction starts with the first operation of the client that is given no session. It is
    rolled back after an exception, also one that the application turns into a response; and by the
    status of the response. If it cannot be committed, the error is raised instead of sending the
    response. What is sent as a stream, and what runs after the response, is outside.

    WebSockets have no transaction.

    :param app: the ASGI application
    :param client: an AsyncMongoClient, or a function that returns one for a connection's ASGI scope
    :param safe_methods: whether GET, HEAD, OPTIONS and TRACE have a transaction, too
    :param rollback_on: whether a response with this status rolls back; those from 500 on, if not
        given
    :param options: those of `atomic`: `read_concern`, `write_concern`, `read_preference`,
        `max_commit_time_ms`, `concurrency`; and `timeout`, the seconds for all operations of a
        request up to the commit
    """

    def __init__(
        self,
        app: ASGIApplication,
        client: AsyncMongoClient[Any] | Callable[[ASGIScope], AsyncMongoClient[Any]],
        *,
        safe_methods: bool = True,
        rollback_on: Callable[[int], bool] = is_server_error,
        **options: Unpack[BlockArguments],
    ) -> None:
        self.app = app
        self._settings: Settings[AsyncMongoClient[Any]] = Settings(
            client, (AsyncMongoClient,), _REFUSAL, safe_methods, rollback_on, options
        )

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        settings = self._settings
        if scope["type"] != "http" or not settings.has_transaction(scope["method"]):
            await self.app(scope, receive, send)
            return
        client = settings.client_of(scope)
        block = atomic(client, **settings.atomic)
        context = RequestContext(client, settings.timeout)
        try:
            await block.__aenter__()
            context.entered()
            request = _Request(block, context, settings.rollback_on, receive, send)
            await request.run(self.app, scope)
        finally:
            context.leave()


class _Request:
    def __init__(
        self,
        block: AsyncAtomic,
        context: RequestContext,
        rollback_on: Callable[[int], bool],
        receive: Receive,
        send: Send,
    ) -> None:
        self._block = block
        self._context = context
        self._rollback_on = rollback_on
        self._receive = receive
        self._send = send
        self._handled_outside = sys.exception()
        self._disconnected = False
        self._ended = False
        self._started = False
        self._failure: Exception | None = None

    async def run(self, app: ASGIApplication, scope: ASGIScope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            await self._end(error)
            if not isinstance(error, Exception) or not self._is_lost():
                raise
        await self._end(RolledBackByResponse("there was no response"))
        if self._is_lost():
            assert self._failure is not None
            raise self._failure

    async def receive(self) -> Message:
        try:
            message = await self._receive()
        finally:
            self._leave_if_ended()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            await self._end(self._reason(message["status"]))
            self._started = True
        elif kind in _AFTER_START and self._is_lost():
            # It belongs to a response whose start could not be sent.
            assert self._failure is not None
            raise self._failure
        try:
            await self._send(message)
        finally:
            self._leave_if_ended()

    def _reason(self, status: int) -> BaseException | None:
        """That to roll back, if there is one."""
        # Frameworks send what they make of an exception while they handle it.
        error = sys.exception()
        if error is not None and error is not self._handled_outside:
            return error
        if self._context.error is not None:
            return self._context.error
        if self._disconnected:
            return RolledBackByResponse("the client has disconnected")
        if self._rollback_on(status):
            return RolledBackByResponse(f"the status is {status}")
        return None

    async def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            await self._block.__aexit__(*as_arguments(error))
        except Exception as failure:
            self._failure = failure
            raise
        finally:
            self._context.leave()

    def _is_lost(self) -> bool:
        """Whether the response could not be sent, because the transaction was not committed."""
        return self._failure is not None and not self._started

    def _leave_if_ended(self) -> None:
        # Here, too, since the response may have started in another task.
        if self._ended:
            self._context.leave()


_AFTER_START = frozenset(
    f"http.response.{kind}" for kind in ("body", "pathsend", "trailers", "zerocopysend")
)

_REFUSAL = (
    "AtomicRequestsMiddleware for ASGI needs an AsyncMongoClient, as a MongoClient would block the "
    "event loop (for that there are the middlewares for WSGI and for Django)"
)

__all__ = ["AtomicRequestsMiddleware", "non_atomic_requests"]
