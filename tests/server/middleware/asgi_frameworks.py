"""One application in each ASGI framework: the same views, with the framework's own responses."""

from collections.abc import AsyncIterator

import fastapi
import litestar
import litestar.background_tasks
import litestar.exceptions
import litestar.middleware
import litestar.response
import quart
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from ferromongo.errors import DuplicateKeyError
from ferromongo.middleware import non_atomic_requests
from ferromongo.middleware.asgi import AtomicRequestsMiddleware
from ferromongo.middleware.flask import atomic_requests
from ferromongo.transaction import atomic, on_commit, on_rollback, set_rollback


class Refused(Exception):
    """Views raise it for the framework's own exception with status 409."""


class Views:
    """They return a status or an async generator."""

    def __init__(self, client, database):
        self.client = client
        self.c = client[database].c
        self.log = client[database].log
        self.heard = []

    async def insert(self):
        await self.c.insert_one({"_id": 1})
        await self.c.insert_one({"_id": 2})
        return 201

    async def fail(self):
        await self.insert()
        raise ZeroDivisionError

    async def refuse(self):
        await self.insert()
        raise Refused

    async def unavailable(self):
        on_rollback(lambda: self.heard.append("rolled back"))
        await self.insert()
        return 503

    async def teapot(self):
        await self.insert()
        return 418

    async def roll_back(self):
        await self.insert()
        set_rollback(True)
        return 200

    async def nothing(self):
        return 204

    async def read(self):
        return 200 + await self.c.count_documents({})

    async def nested(self):
        async with atomic(self.client):
            await self.c.insert_one({"_id": 1})

        @atomic(self.client)
        async def inner():
            await self.c.insert_one({"_id": 2})

        await inner()
        return 201

    async def nested_fails(self):
        await self.c.insert_one({"_id": 1})
        try:
            async with atomic(self.client):
                raise LookupError
        except LookupError:
            return 201

    async def swallow(self):
        await self.insert()
        try:
            await self.c.insert_one({"_id": 1})
        except DuplicateKeyError:
            return 201

    async def hooks(self):
        await self.insert()
        await on_commit(self._hook)
        on_commit(lambda: self.heard.append("plain"))
        return 201

    async def _hook(self):
        await self.log.insert_one({"seen": await self.c.count_documents({})})

    async def non_atomic(self):
        await self.c.insert_one({"_id": 1})
        raise ZeroDivisionError

    async def stream(self):
        await self.insert()

        async def body():
            await self.c.insert_one({"_id": 3})
            yield str(await self.c.count_documents({})).encode()
            await self.c.insert_one({"_id": 4})
            yield b" chunks"

        return body()


# Each takes the middleware's options; `views` may have been given more names than are above.


def of_starlette(views, **options):
    app = Starlette(routes=[Route(f"/{name}", view, methods=METHODS) for name, view in _of(views)])
    app.add_middleware(AtomicRequestsMiddleware, client=views.client, **options)
    return app


def _of(views):
    for name in NAMES:
        endpoint = _starlette_endpoint(views, name)
        if name == "non_atomic":
            endpoint = non_atomic_requests(endpoint)
        yield name, endpoint


def _starlette_endpoint(views, name):
    view = getattr(views, name)

    async def endpoint(request: fastapi.Request):
        try:
            result = await view()
        except Refused:
            raise HTTPException(409) from None
        if isinstance(result, AsyncIterator):
            later = BackgroundTask(views.c.insert_one, {"_id": 5})
            return StreamingResponse(result, background=later)
        return PlainTextResponse(str(result), result)

    return endpoint


def of_fastapi(views, **options):
    app = fastapi.FastAPI()
    app.state.client = views.client
    app.add_middleware(
        AtomicRequestsMiddleware, client=lambda scope: scope["app"].state.client, **options
    )
    for name, endpoint in _of(views):
        app.api_route(f"/{name}", methods=METHODS)(endpoint)
    return app


def of_litestar(views, **options):
    def handler(name):
        view = getattr(views, name)

        async def endpoint() -> litestar.Response:
            try:
                result = await view()
            except Refused:
                raise litestar.exceptions.HTTPException(status_code=409) from None
            if isinstance(result, AsyncIterator):
                later = litestar.background_tasks.BackgroundTask(views.c.insert_one, {"_id": 5})
                return litestar.response.Stream(result, background=later, status_code=200)
            return litestar.Response("" if result == 204 else str(result), status_code=result)

        if name == "non_atomic":
            endpoint = non_atomic_requests(endpoint)
        return litestar.route(f"/{name}", http_method=METHODS)(endpoint)

    middleware = litestar.middleware.DefineMiddleware(
        AtomicRequestsMiddleware, client=views.client, **options
    )
    handlers = [handler(name) for name in NAMES]
    return litestar.Litestar(handlers, middleware=[middleware], logging_config=None)


def of_quart(views, middleware=None, **options):
    app = quart.Quart("shop")
    app.logger.disabled = True

    def endpoint_of(name):
        view = getattr(views, name)

        async def endpoint():
            try:
                result = await view()
            except Refused:
                quart.abort(409)
            if isinstance(result, AsyncIterator):
                return quart.Response(result)
            return str(result), result

        return non_atomic_requests(endpoint) if name == "non_atomic" else endpoint

    for name in NAMES:
        app.add_url_rule(f"/{name}", name, endpoint_of(name), methods=METHODS)
    if middleware is None:
        atomic_requests(app, views.client, **options)
    else:
        app.asgi_app = middleware(app.asgi_app, views.client, **options)
    return app


METHODS = ["GET", "POST"]
NAMES = [name for name in vars(Views) if not name.startswith("_")]
FRAMEWORKS = {
    "starlette": of_starlette,
    "fastapi": of_fastapi,
    "litestar": of_litestar,
    "quart": of_quart,
}
