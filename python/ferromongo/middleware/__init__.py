"""A transaction per request: see docs/web.md.

There is a middleware for each protocol, in a module of its own, as a program needs one of them:

* `ferromongo.middleware.asgi.AtomicRequestsMiddleware`: Starlette, FastAPI, Litestar, Quart;
* `ferromongo.middleware.wsgi.AtomicRequestsMiddleware`: Flask, and other WSGI applications;
* `ferromongo.middleware.django.AtomicRequestsMiddleware`: Django, with sync and async views.

`@non_atomic_requests` works with all of them.
"""

from ferromongo.middleware._non_atomic import non_atomic_requests

__all__ = ["non_atomic_requests"]
