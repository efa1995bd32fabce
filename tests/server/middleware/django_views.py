"""The views of the tests of Django's middleware: each body as a sync and as an async view.

A body is written with `await`. With a MongoClient it sees the client through tests/drivers.py.
"""

import functools
from types import SimpleNamespace

from asgiref.sync import async_to_sync
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.http import require_http_methods
from tests.drivers import Awaitable, SyncDriver
from tests.server.atomic.blocks import block

import ferromongo
from ferromongo.errors import DuplicateKeyError
from ferromongo.middleware import django as transaction

now = SimpleNamespace(client=None, database=None, heard=[])
"""The client and the name of the database of the running test."""


def client(request):
    """What the setting FERROMONGO_CLIENT names."""
    return now.client


def wrapped():
    return Awaitable(now.client) if isinstance(now.client, ferromongo.MongoClient) else now.client


def collection(name="c"):
    return wrapped()[now.database][name]


async def insert(request):
    await collection().insert_one({"_id": 1})
    await collection().insert_one({"_id": 2})
    return HttpResponse(status=201)


async def fail(request):
    await insert(request)
    raise ZeroDivisionError


async def refuse(request):
    await insert(request)
    raise Http404


async def refuse_inside(request):
    async with block(wrapped()):
        await insert(request)
        raise PermissionDenied


async def unavailable(request):
    transaction.on_rollback(lambda: now.heard.append("rolled back"))
    await insert(request)
    return HttpResponse(status=503)


async def teapot(request):
    await insert(request)
    return HttpResponse(status=418)


async def roll_back(request):
    await insert(request)
    transaction.set_rollback(True)
    return HttpResponse()


async def nothing(request):
    return HttpResponse(status=204)


async def read(request):
    return HttpResponse(str(await collection().count_documents({})))


async def nested(request):
    async with block(wrapped()):
        await insert(request)
    return HttpResponse(status=201)


async def swallow(request):
    await insert(request)
    try:
        await collection().insert_one({"_id": 1})
    except DuplicateKeyError:
        return HttpResponse(status=201)


async def hooks(request):
    await insert(request)
    transaction.on_commit(lambda: now.heard.append("committed"))
    return HttpResponse(status=201)


async def non_atomic(request):
    await collection().insert_one({"_id": 1})
    raise ZeroDivisionError


async def template(request):
    async def ids():
        return await collection().distinct("_id")

    await insert(request)
    ids = SyncDriver().run(ids()) if isinstance(now.client, ferromongo.MongoClient) else "[1, 2]"
    text = engines["django"].from_string("{{ ids }}")
    return SimpleTemplateResponse(text, {"ids": ids})


def sync_view(body):
    @functools.wraps(body)
    def view(request):
        if isinstance(now.client, ferromongo.MongoClient):
            return SyncDriver().run(body(request))
        return async_to_sync(body)(request)

    return view


BODIES = (
    insert,
    fail,
    refuse,
    refuse_inside,
    unavailable,
    teapot,
    roll_back,
    nothing,
    read,
    nested,
    swallow,
    hooks,
    template,
)


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class NonAtomic(View):
    def post(self, request):
        return sync_view(non_atomic)(request)


class NonAtomicAsync(View):
    @transaction.non_atomic_requests
    async def dispatch(self, request, *args, **kwargs):
        return await super().dispatch(request, *args, **kwargs)

    async def post(self, request):
        return await non_atomic(request)


def stream(request):
    """With a MongoClient, whose body a thread reads under ASGI."""
    c = now.client[now.database].c
    c.insert_one({"_id": 1})

    def chunks():
        c.insert_one({"_id": 2})
        yield str(c.count_documents({}))

    return StreamingHttpResponse(chunks())


async def async_stream(request):
    """With an AsyncMongoClient."""
    c = now.client[now.database].c
    await c.insert_one({"_id": 1})

    async def chunks():
        await c.insert_one({"_id": 2})
        yield str(await c.count_documents({}))

    return StreamingHttpResponse(chunks())


# The names of django.db.transaction.


@transaction.atomic
def decorated(request):
    now.client[now.database].c.insert_one({"_id": 1})
    now.heard.append(transaction.current_attempt())
    if len(now.heard) < 3:
        from tests.server.atomic.blocks import transient

        raise transient()
    return HttpResponse()


@transaction.atomic
async def decorated_async(request):
    await now.client[now.database].c.insert_one({"_id": 1})
    raise ZeroDivisionError


require_safe_or_post = require_http_methods(["GET", "POST"])

# A decorator on top does not hide the mark of a view.
urlpatterns = [
    *(
        path(f"sync/{body.__name__}", require_safe_or_post(sync_view(body)))
        for body in BODIES
        if body is not read
    ),
    path("sync/read", sync_view(read)),
    *(path(f"async/{body.__name__}", body) for body in BODIES),
    path(
        "sync/non_atomic",
        require_safe_or_post(transaction.non_atomic_requests(sync_view(non_atomic))),
    ),
    path("async/non_atomic", transaction.non_atomic_requests(non_atomic)),
    path("sync/non_atomic_class", NonAtomic.as_view()),
    path("async/non_atomic_class", NonAtomicAsync.as_view()),
    path("stream", stream),
    path("async_stream", async_stream),
    path("decorated", decorated),
    path("decorated_alone", transaction.non_atomic_requests(decorated)),
    path("decorated_async", decorated_async),
]


def handler500(request):
    """Operations of the handler are outside of the transaction that was rolled back."""
    if isinstance(now.client, ferromongo.MongoClient):
        now.client[now.database].log.insert_one({"error": str(request.path)})
    return HttpResponse("sorry", status=500)
