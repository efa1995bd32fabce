"""A transaction per request for Flask and Quart, which knows of the exceptions they handle.

    app = Flask(__name__)
    atomic_requests(app, client)

The middlewares for WSGI and ASGI do not see an exception of a view of these frameworks, such as
`abort(409)`: they see the response that was made of it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Unpack

from ferromongo._calls.atomic_arguments import BlockArguments
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.middleware import asgi, wsgi
from ferromongo.middleware._context import REQUESTS
from ferromongo.middleware._non_atomic import non_atomic_requests
from ferromongo.middleware._settings import is_server_error
from ferromongo.synchronous.mongo_client import MongoClient


def atomic_requests(
    app: Any,
    client: MongoClient[Any] | AsyncMongoClient[Any] | Callable[[Any], Any],
    *,
    safe_methods: bool = True,
    rollback_on: Callable[[int], bool] = is_server_error,
    **options: Unpack[BlockArguments],
) -> None:
    """Handle each request of the application in a transaction.

    It puts the middleware for WSGI, or that for ASGI, around the application, and has exceptions
    roll back which the application has handlers for. The other arguments are those of the
    middleware.

    :param app: a Flask, with a MongoClient, or a Quart, with an AsyncMongoClient
    """
    given: Any = dict(options, client=client, safe_methods=safe_methods, rollback_on=rollback_on)
    if hasattr(app, "asgi_app"):
        app.asgi_app = asgi.AtomicRequestsMiddleware(app.asgi_app, **given)
    else:
        app.wsgi_app = wsgi.AtomicRequestsMiddleware(app.wsgi_app, **given)
    app.handle_user_exception = _noting(app.handle_user_exception)


def _noting(handle_user_exception: Callable[..., Any]) -> Callable[..., Any]:
    # Both frameworks call this method with every exception of a view, before they look for a
    # handler. It is a coroutine function in Quart.
    @functools.wraps(handle_user_exception)
    def noting(*args: Any, **kwargs: Any) -> Any:
        for request in REQUESTS.get():
            request.error = sys.exception()
        return handle_user_exception(*args, **kwargs)

    return noting


__all__ = ["atomic_requests", "non_atomic_requests"]
