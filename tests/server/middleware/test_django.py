"""A transaction per request in Django, on a real server: sync and async views, under WSGI and ASGI,
with clients of both kinds."""

# ruff: noqa: PT012 - what is raised within a block is raised by its end, too

import asyncio
import concurrent.futures
import contextlib
import threading

import pytest
from asgiref.sync import async_to_sync
from tests.drivers import APP, ferromongo_only, wait_until
from tests.server.middleware import django_views
from tests.server.middleware.asgi_calls import call

import ferromongo
from ferromongo.middleware.django import AtomicRequestsMiddleware
from ferromongo.transaction import current_attempt

pytestmark = ferromongo_only


MIDDLEWARE = "ferromongo.middleware.django.AtomicRequestsMiddleware"


@pytest.fixture(params=["wsgi", "asgi"])
def server(request):
    return request.param


@pytest.fixture(params=["sync", "async"])
def view_kind(request):
    return request.param


@pytest.fixture(params=["MongoClient", "AsyncMongoClient"])
def client_kind(request):
    return request.param


@pytest.fixture
def use(mongodb_uri, mongodb_database_name, recorder):
    """Makes a client of the kind, or with the options, the one of the views."""
    used = []

    def use(kind, **options):
        client = getattr(ferromongo, kind)(mongodb_uri, event_listeners=[recorder], **options)
        used.append(client)
        django_views.now.client = client
        django_views.now.database = mongodb_database_name
        django_views.now.heard.clear()

    yield use
    for client in used:
        closed = client.close()
        if closed is not None:
            async_to_sync(_awaited)(closed)
    django_views.now.client = None


async def _awaited(awaitable):
    return await awaitable


@pytest.fixture
def respond(django_settings):
    """Calls a path; what the error of a view becomes is Django's matter."""

    def respond(server, path, method="post", middleware=(MIDDLEWARE,), **settings):
        from django.test import AsyncClient, Client, override_settings

        with override_settings(MIDDLEWARE=[*middleware], **settings):
            if server == "wsgi":
                client = Client(raise_request_exception=False)
                response = getattr(client, method)(path)
            else:
                client = AsyncClient(raise_request_exception=False)
                response = async_to_sync(getattr(client, method))(path)
        assert current_attempt() == 0
        return response

    return respond


@pytest.fixture
def urls(monkeypatch):
    """`with urls(pattern):` Django has no others."""
    from django.urls import clear_url_caches

    @contextlib.contextmanager
    def urls(*patterns):
        with monkeypatch.context() as patch:
            patch.setattr(django_views, "urlpatterns", patterns)
            clear_url_caches()
            yield
        clear_url_caches()

    return urls


@pytest.fixture
def run(use, respond, server, view_kind, client_kind, seen):
    """The status of the answer, and what is left."""
    use(client_kind)

    def run(name, method="post", **settings):
        response = respond(server, f"/{view_kind}/{name}", method, **settings)
        return response.status_code, seen()

    return run


def test_the_transaction_is_committed(run, recorder):
    assert run("insert") == (201, [1, 2])
    assert [command["autocommit"] for command in recorder.sent("insert")] == [False, False]
    assert len(recorder.sent("commitTransaction")) == 1


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("fail", 500),
        ("refuse", 404),
        ("refuse_inside", 403),
        ("unavailable", 503),
        ("roll_back", 200),
        ("swallow", 500),
    ],
)
def test_it_is_rolled_back(run, recorder, name, status):
    assert run(name) == (status, [])
    assert not recorder.sent("commitTransaction")


def test_hooks(run):
    assert run("unavailable") == (503, [])
    assert run("hooks") == (201, [1, 2])
    assert django_views.now.heard == ["rolled back", "committed"]


def test_options_of_the_settings(run, recorder):
    rollback_on = {"rollback_on": lambda status: status >= 400}
    assert run("teapot", FERROMONGO_ATOMIC_REQUESTS=rollback_on) == (418, [])
    assert run("teapot") == (418, [1, 2])
    assert run("read", "get") == (200, [1, 2])
    assert len(recorder.sent("commitTransaction")) == 2
    assert run("read", "get", FERROMONGO_ATOMIC_REQUESTS={"safe_methods": False})[0] == 200
    assert len(recorder.sent("commitTransaction")) == 2


def test_a_request_without_operations_sends_nothing(run, recorder):
    assert run("nothing") == (204, [])
    assert recorder.sent() == []


def test_inner_blocks_join(run, recorder):
    assert run("nested") == (201, [1, 2])
    assert len(recorder.sent("commitTransaction")) == 1


@pytest.mark.parametrize("name", ["non_atomic", "non_atomic_class"])
def test_non_atomic_views_are_outside(run, recorder, name):
    assert run(name) == (500, [1])
    assert not recorder.sent("abortTransaction")


def test_templates_are_rendered_inside(use, respond, server, view_kind, client_kind, seen):
    use(client_kind)
    response = respond(server, f"/{view_kind}/template")
    assert (response.status_code, response.content, seen()) == (200, b"[1, 2]", [1, 2])


@pytest.mark.parametrize("client_kind", ["MongoClient", "AsyncMongoClient"])
def test_a_commit_that_fails_is_answered_by_the_handler_of_errors(
    use, respond, server, client_kind, fail, seen, database
):
    use(client_kind, appName=APP)
    with fail("commitTransaction", times=1, errorCode=251):
        response = respond(server, "/sync/insert")
    assert (response.status_code, response.content, seen()) == (500, b"sorry", [])
    if client_kind == "MongoClient":
        assert database.log.count_documents({}) == 1
    with fail("commitTransaction", times=2, closeConnection=True):
        assert respond(server, "/sync/insert").status_code == 201
    assert seen() == [1, 2]


def test_streams_are_outside_under_wsgi(use, respond, seen, recorder):
    use("MongoClient")
    response = respond("wsgi", "/stream")
    assert seen() == [1]
    assert b"".join(response.streaming_content) == b"2"
    assert "autocommit" not in recorder.sent("insert")[1]


def test_streams_are_outside_under_asgi(use, respond, seen, recorder):
    use("AsyncMongoClient")

    async def chunks(response):
        return [chunk async for chunk in response.streaming_content]

    response = respond("asgi", "/async_stream")
    assert seen() == [1]
    assert asyncio.run(chunks(response)) == [b"2"]
    assert "autocommit" not in recorder.sent("insert")[1]


class Inner:
    """Of an older kind, sync only: under ASGI Django adapts it by a thread."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)


def other_middleware(get_response):
    return Inner(get_response)


other_middleware.async_capable = False


@pytest.mark.parametrize("place", ["before", "behind"])
def test_middlewares_that_are_sync_only(use, respond, server, view_kind, client_kind, place, seen):
    use(client_kind)
    other = f"{__name__}.other_middleware"
    middleware = [other, MIDDLEWARE] if place == "before" else [MIDDLEWARE, other]
    respond(server, f"/{view_kind}/fail", middleware=middleware)
    assert seen() == []
    assert respond(server, f"/{view_kind}/insert", middleware=middleware).status_code == 201
    assert seen() == [1, 2]


class OfSubclass(AtomicRequestsMiddleware):
    options = {"timeout": 60, "concurrency": "error"}

    def get_client(self, request):
        return django_views.now.client

    def rollback_on(self, status):
        return status == 201


def test_a_subclass_has_attributes_instead(use, respond, server, view_kind, client_kind, seen):
    use(client_kind)
    middleware = [f"{__name__}.OfSubclass"]
    settings = {"middleware": middleware, "FERROMONGO_CLIENT": None}
    assert respond(server, f"/{view_kind}/insert", **settings).status_code == 201
    assert seen() == []
    assert respond(server, f"/{view_kind}/teapot", **settings).status_code == 418
    assert seen() == [1, 2]


def test_without_a_client(use, respond, django_settings):
    from django.core.exceptions import ImproperlyConfigured

    response = respond("wsgi", "/sync/insert", FERROMONGO_CLIENT=None)
    assert response.status_code == 500
    assert isinstance(response.exc_info[1], ImproperlyConfigured)
    response = respond("wsgi", "/sync/insert", FERROMONGO_CLIENT=lambda request: 5)
    assert isinstance(response.exc_info[1], TypeError)


def test_atomic_of_the_settings(use, respond, seen):
    use("MongoClient")
    # It joins the request's transaction, which is not run again.
    assert respond("wsgi", "/decorated").status_code == 500
    assert django_views.now.heard == [1]
    use("MongoClient")
    assert respond("wsgi", "/decorated_alone").status_code == 200
    assert django_views.now.heard == [1, 2, 3]
    use("MongoClient")
    django_views.now.heard += [0, 0]
    assert respond("wsgi", "/decorated", middleware=[]).status_code == 500
    assert seen() == [1]


def test_async_atomic_of_the_settings(use, respond, seen):
    use("AsyncMongoClient")
    assert respond("asgi", "/decorated_async", middleware=[]).status_code == 500
    assert seen() == []


def test_atomic_blocks_of_the_settings(use, seen, django_settings):
    from ferromongo.errors import InvalidOperation
    from ferromongo.middleware.django import atomic

    use("MongoClient")
    c = django_views.now.client[django_views.now.database].c
    with pytest.raises(KeyError), atomic(timeout=60):
        c.insert_one({"_id": 1})
        raise KeyError
    with atomic(durable=True) as session:
        c.insert_one({"_id": 2}, session=session)
        with pytest.raises(InvalidOperation, match="durable"), atomic(durable=True):
            pass
    atomic()(lambda: c.insert_one({"_id": 3}))()
    assert seen() == [2, 3]
    block = atomic()
    with block, pytest.raises(InvalidOperation, match="in use"):
        block.__enter__()
    with pytest.raises(TypeError, match="unexpected"):
        atomic(colour="red")
    with pytest.raises(TypeError, match="generator"):
        atomic(lambda: (yield))

    async def use_async():
        use("AsyncMongoClient")
        c = django_views.now.client[django_views.now.database].c
        async with atomic():
            await c.insert_one({"_id": 4})
        with pytest.raises(KeyError):
            async with atomic():
                await c.insert_one({"_id": 5})
                raise KeyError

    asyncio.run(use_async())
    assert seen() == [2, 3, 4]


def test_many_requests_at_once(use, django_settings, urls, database):
    from django.http import HttpResponse
    from django.test import Client, override_settings
    from django.urls import path

    use("MongoClient")
    database.create_collection("c")
    together = threading.Barrier(5)

    def insert(request, number):
        c = django_views.now.client[database.name].c
        c.insert_one({"_id": number})
        together.wait(60)
        assert c.count_documents({}) == 1
        return HttpResponse(status=503 if number % 2 else 201)

    with (
        urls(path("<int:number>", insert)),
        override_settings(MIDDLEWARE=[MIDDLEWARE]),
        concurrent.futures.ThreadPoolExecutor(5) as threads,
    ):
        statuses = list(threads.map(lambda n: Client().post(f"/{n}").status_code, range(1, 6)))
    assert statuses == [503, 201, 503, 201, 503]
    assert sorted(database.c.distinct("_id")) == [2, 4]


def test_a_cancelled_request_rolls_back(use, django_settings, urls, seen, recorder):
    """As Django's ASGI handler cancels it if the client goes away."""
    from django.core.handlers.asgi import ASGIHandler
    from django.test import override_settings
    from django.urls import path

    async def view(request):
        await django_views.now.client[django_views.now.database].c.insert_one({"_id": 1})
        disconnected.set()
        await asyncio.Event().wait()

    async def run():
        return await call(ASGIHandler(), "/", disconnected=disconnected)

    use("AsyncMongoClient")
    disconnected = asyncio.Event()
    with urls(path("", view)), override_settings(MIDDLEWARE=[MIDDLEWARE]):
        assert asyncio.run(run()).status is None
    wait_until(lambda: recorder.sent("abortTransaction"))
    assert seen() == []
