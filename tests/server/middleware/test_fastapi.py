"""What is particular to FastAPI and Starlette: dependencies, other middlewares, a real server."""

import asyncio
import contextlib
import socket
from typing import Annotated

import fastapi
import httpx
import pytest
import uvicorn
from fastapi.responses import JSONResponse, StreamingResponse
from tests.drivers import ferromongo_only
from tests.server.middleware.asgi_calls import call

from ferromongo.errors import DuplicateKeyError, InvalidOperation
from ferromongo.middleware.asgi import AtomicRequestsMiddleware, non_atomic_requests
from ferromongo.transaction import current_attempt

pytestmark = ferromongo_only


@pytest.fixture
def c(app_client, mongodb_database_name):
    return app_client[mongodb_database_name].c


@pytest.fixture
def app(app_client):
    app = fastapi.FastAPI()
    app.add_middleware(AtomicRequestsMiddleware, client=app_client)
    return app


async def test_a_dependency_takes_part_and_its_end_after_the_response_does_not(app, c, seen):
    attempts = []

    async def dependency():
        await c.insert_one({"_id": 1})
        attempts.append(current_attempt())
        yield c
        attempts.append(current_attempt())

    @app.post("/{number}")
    async def endpoint(number: int, found: Annotated[object, fastapi.Depends(dependency)]):
        await found.insert_one({"_id": number})
        if number == 3:
            raise fastapi.HTTPException(409)

    answer = await call(app, "/2", on_start=seen)
    assert (answer.status, answer.at_start, attempts) == (200, [1, 2], [1, 0])
    await c.delete_many({})
    answer = await call(app, "/3", on_start=seen)
    assert (answer.status, answer.at_start) == (409, [])


async def test_a_dependency_that_handles_the_exception_of_the_endpoint(app, c, seen):
    """It raises another one, as FastAPI demands."""

    async def dependency():
        try:
            yield
        except DuplicateKeyError:
            raise fastapi.HTTPException(409) from None

    @app.post("/", dependencies=[fastapi.Depends(dependency)])
    async def endpoint():
        await c.insert_one({"_id": 1})
        await c.insert_one({"_id": 1})

    answer = await call(app, "/", on_start=seen)
    assert (answer.status, answer.at_start) == (409, [])


async def test_handlers_of_exceptions_are_in_a_transaction_that_is_rolled_back(app, c, seen):
    @app.exception_handler(LookupError)
    async def handle(request, error):
        await c.insert_one({"_id": 2})
        return JSONResponse({}, 404)

    @app.post("/")
    async def endpoint():
        await c.insert_one({"_id": 1})
        raise LookupError

    answer = await call(app, "/", on_start=seen)
    assert (answer.status, answer.at_start) == (404, [])


async def test_malformed_requests_send_nothing(app, recorder):
    @app.post("/{number}")
    async def endpoint(number: int):
        pass

    assert (await call(app, "/x")).status == 422
    assert recorder.sent() == []


async def test_non_atomic_endpoints_keep_their_parameters(app, c, seen):
    @app.post("/{number}")
    @non_atomic_requests
    async def endpoint(number: int, twice: bool = False) -> dict[str, int]:
        await c.insert_one({"_id": number})
        raise fastapi.HTTPException(418)

    @app.get("/{number}")
    @non_atomic_requests
    def in_a_thread(number: int) -> int:
        return current_attempt()

    @app.put("/")
    @non_atomic_requests
    async def events() -> StreamingResponse:
        async def body():
            yield str(current_attempt())

        return StreamingResponse(body())

    assert (await call(app, "/7?twice=1")).status == 418
    assert seen() == [7]
    assert (await call(app, "/7", "GET")).body == b"0"
    assert (await call(app, "/", "PUT")).body == b"0"
    parameters = app.openapi()["paths"]["/{number}"]["post"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == ["number", "twice"]


async def test_background_tasks_are_outside(app, c, seen):
    @app.post("/")
    async def endpoint(tasks: fastapi.BackgroundTasks):
        await c.insert_one({"_id": 1})
        tasks.add_task(c.insert_one, {"_id": 2})

    assert (await call(app, "/", on_start=seen)).at_start == [1]
    assert seen() == [1, 2]


def with_http_middleware(app_client, c, first):
    """An application with a middleware of the kind that runs the application in another task."""
    app = fastapi.FastAPI()
    if first:
        app.add_middleware(AtomicRequestsMiddleware, client=app_client)

    @app.middleware("http")
    async def measure(request, call_next):
        return await call_next(request)

    if not first:
        app.add_middleware(AtomicRequestsMiddleware, client=app_client)

    @app.post("/plain")
    async def plain():
        await c.insert_one({"_id": 1})

    @app.post("/fails")
    async def fails():
        await c.insert_one({"_id": 1})
        raise ZeroDivisionError

    @app.post("/refuses")
    async def refuses():
        await c.insert_one({"_id": 1})
        raise fastapi.HTTPException(409)

    @app.post("/stream")
    async def stream():
        async def body():
            while not started.is_set():
                await asyncio.sleep(0.01)
            await c.insert_one({"_id": 2})
            yield "x"

        await c.insert_one({"_id": 1})
        return StreamingResponse(body())

    started = asyncio.Event()
    return app, started.set


async def test_added_first_it_is_inside_of_other_middlewares(app_client, c, seen):
    app, start = with_http_middleware(app_client, c, first=True)
    assert (await call(app, "/plain", on_start=seen)).at_start == [1]
    await c.delete_many({})
    assert (await call(app, "/refuses", on_start=seen)).at_start == []
    assert (await call(app, "/fails")).status == 500
    assert seen() == []
    answer = await call(app, "/stream", on_start=start)
    assert (answer.body, seen()) == (b"x", [1, 2])


async def test_around_such_middlewares_it_cannot_see_all(app_client, c, seen):
    app, start = with_http_middleware(app_client, c, first=False)
    assert (await call(app, "/plain", on_start=seen)).at_start == [1]
    await c.delete_many({})
    # The exception was handled in another task.
    assert (await call(app, "/refuses", on_start=seen)).at_start == [1]
    await c.delete_many({})
    assert (await call(app, "/fails")).status == 500
    assert seen() == []
    # The stream is read in a task that began inside.
    answer = await call(app, "/stream", on_start=start)
    assert isinstance(answer.error, InvalidOperation)
    assert seen() == [1]


@contextlib.asynccontextmanager
async def served(app):
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()
        try:
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60) as shop:
                yield shop
        finally:
            server.should_exit = True
            await serving


async def test_on_a_server_what_was_written_is_seen_when_the_headers_arrive(app, c, seen):
    @app.post("/{number}")
    async def endpoint(number: int):
        async def body():
            yield "begun"
            await c.insert_one({"_id": -number})
            yield "done"

        await c.insert_one({"_id": number})
        if number % 3 == 0:
            raise ZeroDivisionError
        return StreamingResponse(body())

    async with served(app) as shop:
        async with shop.stream("POST", "/1") as response:
            assert 1 in seen()
            assert await response.aread() == b"begundone"
        assert seen() == [-1, 1]
        answers = await asyncio.gather(*(shop.post(f"/{number}") for number in range(2, 22)))
    assert [answer.status_code for answer in answers] == [
        500 if number % 3 == 0 else 200 for number in range(2, 22)
    ]
    assert seen() == sorted(
        signed for number in range(1, 22) if number % 3 for signed in (-number, number)
    )


async def test_on_a_server_a_client_that_goes_away_while_it_sends(app, c, seen, recorder):
    """Starlette raises ClientDisconnect where the body is read."""

    @app.post("/")
    async def endpoint(request: fastapi.Request):
        await c.insert_one({"_id": 1})
        begun.set()
        await request.body()

    begun = asyncio.Event()
    async with served(app) as shop:
        url = shop.base_url
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nabc")
        await begun.wait()
        writer.close()
        while not recorder.sent("abortTransaction"):
            await asyncio.sleep(0.01)
    assert seen() == []
