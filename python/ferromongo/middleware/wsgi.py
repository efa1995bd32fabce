"""A transaction per request for WSGI applications: Flask, and others.

    app.wsgi_app = AtomicRequestsMiddleware(app.wsgi_app, client)

docs/web.md describes what it does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import Any, TypeAlias, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ferromongo._calls.atomic_arguments import BlockArguments
from ferromongo.middleware._context import RequestContext, RolledBackByResponse, as_arguments
from ferromongo.middleware._non_atomic import non_atomic_requests
from ferromongo.middleware._settings import Settings, is_server_error
from ferromongo.synchronous.mongo_client import MongoClient
from ferromongo.transaction import Atomic, atomic

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)


class AtomicRequestsMiddleware:
    """Handles each request in a transaction, which is committed before the response starts.

    The transaction starts with the first operation of the client that is given no session. It is
    rolled back after an exception that leaves the application, and by the status of the response.
    If it cannot be committed, the error is raised to the server, which answers with status 500.
    The body that the application has returned is sent outside of the transaction.

    :param app: the WSGI application
    :param client: a MongoClient, or a function that returns one for a request's WSGI environment
    :param safe_methods: whether GET, HEAD, OPTIONS and TRACE have a transaction, too
    :param rollback_on: whether a response with this status rolls back; those from 500 on, if not
        given
    :param options: those of `atomic`: `read_concern`, `write_concern`, `read_preference`,
        `max_commit_time_ms`, `concurrency`; and `timeout`, the seconds for all operations of a
        request up to the commit
    """

    def __init__(
        self,
        app: WSGIApplication,
        client: MongoClient[Any] | Callable[[WSGIEnvironment], MongoClient[Any]],
        *,
        safe_methods: bool = True,
        rollback_on: Callable[[int], bool] = is_server_error,
        **options: Unpack[BlockArguments],
    ) -> None:
        self.app = app
        self._settings: Settings[MongoClient[Any]] = Settings(
            client, (MongoClient,), _REFUSAL, safe_methods, rollback_on, options
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        settings = self._settings
        if not settings.has_transaction(environ["REQUEST_METHOD"]):
            return self.app(environ, start_response)
        client = settings.client_of(environ)
        block = atomic(client, **settings.atomic)
        context = RequestContext(client, settings.timeout)
        try:
            block.__enter__()
            context.entered()
            request = _Request(block, context, settings.rollback_on, start_response)
            return request.run(self.app, environ)
        finally:
            context.leave()


class _Request:
    def __init__(
        self,
        block: Atomic,
        context: RequestContext,
        rollback_on: Callable[[int], bool],
        start_response: StartResponse,
    ) -> None:
        self._block = block
        self._context = context
        self._rollback_on = rollback_on
        self._start_response = start_response
        self._handled_outside = sys.exception()
        self._given: tuple[str, list[tuple[str, str]], _ExcInfo | None] | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._write: Callable[[bytes], object] | None = None

    def run(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        body: Iterable[bytes] | None = None
        try:
            body = app(environ, self.start_response)
            if self._given is None:
                # A generator: it runs until it knows the status.
                body = _Begun(body)
                while self._given is None and body.begin():
                    pass
            if self._given is None:
                self._end(RolledBackByResponse("there was no response"))
            else:
                self._start()
        except BaseException as error:
            self._end(error)
            _close(body)
            raise
        return body

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if self._write is not None:
            # Headers have been sent, so that the server raises the exception.
            return self._start_response(status, headers, exc_info)
        if self._given is not None and not exc_info:
            raise AssertionError("start_response was called again without an exception")
        self._given = status, headers, exc_info
        error = exc_info[1] if exc_info else sys.exception()
        self._error = None if error is self._handled_outside else error
        return self.write

    def write(self, chunk: bytes) -> object:
        """WSGI's old way to send a body, which starts the response."""
        return self._start()(chunk)

    def _start(self) -> Callable[[bytes], object]:
        if self._write is None:
            assert self._given is not None
            status, headers, exc_info = self._given
            self._given = status, headers, None
            self._end(self._reason(int(status.split()[0])))
            self._error = None
            if exc_info:
                self._write = self._start_response(status, headers, exc_info)
            else:
                self._write = self._start_response(status, headers)
        return self._write

    def _reason(self, status: int) -> BaseException | None:
        """That to roll back, if there is one."""
        if (error := self._error or self._context.error) is not None:
            return error
        if self._rollback_on(status):
            return RolledBackByResponse(f"the status is {status}")
        return None

    def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            self._block.__exit__(*as_arguments(error))
        finally:
            self._context.leave()


class _Begun:
    """A body whose first chunks were asked for before the response has started."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self._rest = iter(body)
        self._chunks: list[bytes] = []

    def begin(self) -> bool:
        """Get another chunk; False if there is none."""
        for chunk in self._rest:
            self._chunks.append(chunk)
            return True
        return False

    def __iter__(self) -> Iterator[bytes]:
        chunks, self._chunks = self._chunks, []
        return chain(chunks, self._rest)

    def close(self) -> None:
        _close(self._body)


def _close(body: Iterable[bytes] | None) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


_REFUSAL = (
    "AtomicRequestsMiddleware for WSGI needs a MongoClient, as there is no event loop for an "
    "AsyncMongoClient (for that there is the middleware for ASGI)"
)

__all__ = ["AtomicRequestsMiddleware", "non_atomic_requests"]
