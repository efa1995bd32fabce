"""Who answers if the transaction of a request cannot be committed; and two middlewares at once."""

import fastapi
import flask
import litestar
import pytest
from fastapi.responses import JSONResponse
from tests.drivers import APP, ferromongo_only
from tests.server.middleware.asgi_calls import call
from tests.server.middleware.wsgi_calls import call as call_wsgi

import ferromongo
from ferromongo.errors import DuplicateKeyError, OperationFailure
from ferromongo.middleware import non_atomic_requests, wsgi
from ferromongo.middleware.asgi import AtomicRequestsMiddleware
from ferromongo.middleware.flask import atomic_requests
from ferromongo.transaction import TransactionRolledBack, atomic

pytestmark = ferromongo_only


@pytest.fixture
async def failing_client(mongodb_uri, mongodb_database_name, fail):
    """Its first commit fails."""
    async with ferromongo.AsyncMongoClient(mongodb_uri, appname=APP) as client:
        with fail("commitTransaction", times=1, errorCode=251):
            yield client
        # The server still has that transaction. The next one of the session ends it.
        async with atomic(client):
            await client[mongodb_database_name].c.find_one()


async def test_fastapi_calls_the_handler_of_exceptions(failing_client, mongodb_database_name):
    app = fastapi.FastAPI()
    app.add_middleware(AtomicRequestsMiddleware, client=failing_client)
    handled = []

    @app.exception_handler(Exception)
    async def handle(request, error):
        handled.append(error)
        return JSONResponse({}, 503)

    @app.exception_handler(OperationFailure)
    async def is_inside_of_the_middleware(request, error):
        raise AssertionError

    @app.post("/")
    async def endpoint():
        await failing_client[mongodb_database_name].c.insert_one({"_id": 1})

    answer = await call(app, "/")
    assert answer.status == 503
    assert [error.code for error in handled] == [251]


async def test_litestar_leaves_it_to_the_server(failing_client, mongodb_database_name):
    """It remembers that it has begun to send a response, and then calls no handler."""

    def handle(request, error):
        raise AssertionError

    @litestar.post("/")
    async def endpoint() -> None:
        await failing_client[mongodb_database_name].c.insert_one({"_id": 1})

    middleware = litestar.middleware.DefineMiddleware(
        AtomicRequestsMiddleware, client=failing_client
    )
    app = litestar.Litestar(
        [endpoint], middleware=[middleware], exception_handlers={OperationFailure: handle}
    )
    answer = await call(app, "/")
    assert (answer.status, answer.body) == (500, b"")
    assert answer.error.__cause__.code == 251


def test_flask_leaves_it_to_the_server(sync_app_client, database):
    app = flask.Flask("shop")
    atomic_requests(app, sync_app_client)

    @app.errorhandler(500)
    def handle(error):
        raise AssertionError

    @app.post("/")
    def view():
        c = sync_app_client[database.name].c
        c.insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError):
            c.insert_one({"_id": 1})
        return "done"

    answer = call_wsgi(app, "/")
    assert isinstance(answer.error, TransactionRolledBack)
    assert isinstance(answer.error.__cause__, DuplicateKeyError)


async def test_two_clients_have_a_transaction_each(app_client, async_client, database, seen):
    database.create_collection("c")
    collections = [client[database.name].c for client in (app_client, async_client)]
    app = fastapi.FastAPI()
    app.add_middleware(AtomicRequestsMiddleware, client=app_client)
    app.add_middleware(AtomicRequestsMiddleware, client=async_client)

    @app.post("/{start}")
    async def endpoint(start: int):
        for number, collection in enumerate(collections, start):
            await collection.insert_one({"_id": number})
            assert not seen()
        if start == 5:
            raise fastapi.HTTPException(404)

    @app.put("/{start}")
    @non_atomic_requests
    async def outside(start: int):
        for number, collection in enumerate(collections, start):
            await collection.insert_one({"_id": number})
        raise ZeroDivisionError

    assert (await call(app, "/5", on_start=seen)).at_start == []
    assert (await call(app, "/1", on_start=seen)).at_start == [1, 2]
    await call(app, "/7", "PUT")
    assert seen() == [1, 2, 7, 8]


def test_a_middleware_in_a_middleware_of_the_same_client_joins(sync_app_client, database, recorder):
    def app(environ, start_response):
        sync_app_client[database.name].c.insert_one({"_id": 1})
        start_response(environ["status"], [("Content-Type", "text/plain")])
        return [b""]

    twice = wsgi.AtomicRequestsMiddleware(
        wsgi.AtomicRequestsMiddleware(app, sync_app_client), sync_app_client
    )
    statuses = []

    def start_response(status, headers, exc_info=None):
        statuses.append((status, database.c.count_documents({})))

    for status in ("503 Service Unavailable", "200 OK"):
        twice({"REQUEST_METHOD": "POST", "status": status}, start_response)
    assert statuses == [("503 Service Unavailable", 0), ("200 OK", 1)]
    assert len(recorder.sent("commitTransaction")) == 1
