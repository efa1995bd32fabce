"""A transaction per request in ASGI frameworks, on a real server."""

import asyncio

import pytest
from pymongo.errors import InvalidOperation
from tests.drivers import APP, ferromongo_only
from tests.server.middleware.asgi_calls import call
from tests.server.middleware.asgi_frameworks import FRAMEWORKS, Views, of_quart, of_starlette

import ferromongo
from ferromongo.middleware import non_atomic_requests
from ferromongo.middleware.asgi import AtomicRequestsMiddleware
from ferromongo.transaction import TransactionRolledBack, atomic, current_attempt

pytestmark = ferromongo_only


@pytest.fixture
def views(app_client, mongodb_database_name):
    return Views(app_client, mongodb_database_name)


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture
def run(framework, views, seen):
    """Calls a path, and returns the answer and what was seen when it started and is seen now."""

    async def run(path, method="POST", spec="2.3", **options):
        app = FRAMEWORKS[framework](views, **options)
        answer = await call(app, path, method, on_start=seen, spec=spec)
        # Nothing is left in the context of the caller.
        assert current_attempt() == 0
        await views.log.insert_one({})
        return answer.status, answer.at_start, seen()

    return run


async def test_the_transaction_is_committed_when_the_response_starts(run, recorder):
    assert await run("/insert") == (201, [1, 2], [1, 2])
    assert [command["autocommit"] for command in recorder.sent("insert")[:2]] == [False, False]
    assert len(recorder.sent("commitTransaction")) == 1


async def test_an_exception_rolls_back(run, recorder):
    status, at_start, left = await run("/fail")
    assert (status, left) == (500, [])
    assert not at_start
    assert len(recorder.sent("abortTransaction")) == 1


async def test_an_exception_that_becomes_a_response_rolls_back(run):
    assert await run("/refuse") == (409, [], [])


async def test_the_asgi_middleware_does_not_see_exceptions_that_quart_handles(views, seen):
    """So there is `atomic_requests`, which the other tests of Quart use."""
    app = of_quart(views, middleware=AtomicRequestsMiddleware)
    answer = await call(app, "/refuse", on_start=seen)
    assert (answer.status, answer.at_start) == (409, [1, 2])


async def test_statuses_can_be_said_to_roll_back(run, views):
    assert await run("/teapot", rollback_on=lambda status: status >= 400) == (418, [], [])
    assert await run("/refuse", rollback_on=lambda status: status >= 400) == (409, [], [])
    assert await run("/unavailable", rollback_on=lambda status: False) == (503, [1, 2], [1, 2])
    assert views.heard == []


async def test_a_response_of_status_5xx_rolls_back_and_one_of_4xx_does_not(run, views):
    assert await run("/unavailable") == (503, [], [])
    assert views.heard == ["rolled back"]
    assert await run("/teapot") == (418, [1, 2], [1, 2])


async def test_set_rollback_rolls_back(run):
    assert await run("/roll_back") == (200, [], [])


async def test_a_request_without_operations_sends_nothing(run, recorder):
    assert await run("/nothing") == (204, [], [])
    assert [next(iter(command)) for command in recorder.sent()] == ["insert"]


async def test_safe_methods_can_be_without_a_transaction(run, recorder):
    assert (await run("/read", "GET"))[0] == 200
    assert len(recorder.sent("commitTransaction")) == 1
    assert (await run("/read", "GET", safe_methods=False))[0] == 200
    assert (await run("/insert", "POST", safe_methods=False)) == (201, [1, 2], [1, 2])
    assert len(recorder.sent("commitTransaction")) == 2


async def test_inner_blocks_join(run, recorder):
    assert await run("/nested") == (201, [1, 2], [1, 2])
    assert len(recorder.sent("commitTransaction")) == 1


async def test_an_exception_of_an_inner_block_that_is_swallowed_is_a_500(run):
    status, _, left = await run("/nested_fails")
    assert (status, left) == (500, [])


async def test_a_server_error_that_is_swallowed_is_a_500(run):
    status, _, left = await run("/swallow")
    assert (status, left) == (500, [])


async def test_hooks_run_before_the_response_starts(framework, views, async_database):
    app = FRAMEWORKS[framework](views)
    answer = await call(app, "/hooks", on_start=lambda: list(views.heard))
    assert (answer.status, answer.at_start) == (201, ["plain"])
    assert (await async_database.log.find_one())["seen"] == 2


async def test_non_atomic_views_are_outside(run, recorder):
    status, _, left = await run("/non_atomic")
    assert (status, left) == (500, [1])
    assert not recorder.sent("commitTransaction")
    assert not recorder.sent("abortTransaction")


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
async def test_streams_and_background_tasks_are_outside(run, framework, spec, recorder):
    background = [] if framework == "quart" else [5]
    assert await run("/stream", spec=spec) == (200, [1, 2], [1, 2, 3, 4, *background])
    assert not any("autocommit" in command for command in recorder.sent("insert")[2:])


async def test_a_commit_that_fails_is_a_500_and_nothing_is_written(
    framework, mongodb_uri, mongodb_database_name, fail, seen
):
    async with ferromongo.AsyncMongoClient(mongodb_uri, appname=APP) as client:
        app = FRAMEWORKS[framework](Views(client, mongodb_database_name))
        with fail("commitTransaction", times=1, errorCode=251):
            answer = await call(app, "/insert", on_start=seen)
        assert (answer.status, answer.at_start or [], seen()) == (500, [], [])
        if framework in ("starlette", "fastapi"):
            assert isinstance(answer.error, ferromongo.errors.OperationFailure)
            assert answer.body == b"Internal Server Error"
        assert (await call(app, "/insert", on_start=seen)).at_start == [1, 2]


async def test_a_commit_of_unknown_result_is_sent_again(
    framework, mongodb_uri, mongodb_database_name, fail, seen
):
    async with ferromongo.AsyncMongoClient(mongodb_uri, appname=APP) as client:
        app = FRAMEWORKS[framework](Views(client, mongodb_database_name))
        with fail("commitTransaction", times=2, closeConnection=True):
            answer = await call(app, "/insert", on_start=seen)
    assert (answer.status, answer.at_start) == (201, [1, 2])


async def test_many_requests_at_once(framework, views, async_database):
    """Each has a transaction of its own; those that fail leave nothing."""
    await async_database.create_collection("c")
    await async_database.create_collection("log")

    class Numbered(Views):
        number = 0

        async def insert(self):
            Numbered.number += 1
            number = Numbered.number
            await self.c.insert_one({"_id": number})
            await asyncio.sleep(0)
            await self.log.insert_one({"_id": number})
            assert await self.c.count_documents({"_id": number}) == 1
            return 503 if number % 3 == 0 else 201

    app = FRAMEWORKS[framework](Numbered(views.client, async_database.name))
    answers = await asyncio.gather(*(call(app, "/insert") for _ in range(30)))
    assert sorted(answer.status for answer in answers) == [201] * 20 + [503] * 10
    expected = [number for number in range(1, 31) if number % 3]
    for collection in (async_database.c, async_database.log):
        assert sorted([document["_id"] async for document in collection.find()]) == expected


async def test_a_cancelled_request_rolls_back(framework, views, seen, recorder):
    reached = asyncio.Event()

    class Waiting(Views):
        async def insert(self):
            await super().insert()
            reached.set()
            await asyncio.Event().wait()

    app = FRAMEWORKS[framework](Waiting(views.client, views.c.database.name))
    task = asyncio.create_task(call(app, "/insert"))
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])
    while not recorder.sent("abortTransaction"):
        await asyncio.sleep(0.01)
    assert seen() == []
    # The connection and the session are free for the next.
    assert (await call(FRAMEWORKS[framework](views), "/insert")).status == 201
    assert seen() == [1, 2]


async def test_a_client_that_has_gone_away_rolls_back(views, seen):
    """Starlette's view sees it, and returns a response nevertheless."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def endpoint(request):
        await request.body()
        await views.insert()
        gone = await request.is_disconnected()
        return PlainTextResponse(str(gone))

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    app.add_middleware(AtomicRequestsMiddleware, client=views.client)
    disconnected = asyncio.Event()
    assert (await call(app, "/", disconnected=disconnected)).body == b"False"
    assert seen() == [1, 2]
    await views.c.delete_many({})
    disconnected.set()
    assert (await call(app, "/", disconnected=disconnected)).body == b"True"
    assert seen() == []


async def test_quart_cancels_the_view_of_a_client_that_has_gone_away(views, seen, recorder):
    disconnected = asyncio.Event()

    class Waiting(Views):
        async def insert(self):
            await super().insert()
            disconnected.set()
            await asyncio.Event().wait()

    app = of_quart(Waiting(views.client, views.c.database.name))
    assert (await call(app, "/insert", disconnected=disconnected)).status is None
    while not recorder.sent("abortTransaction"):
        await asyncio.sleep(0.01)
    assert seen() == []


async def test_other_clients_are_not_affected(views, async_database, recorder):
    class Other(Views):
        async def insert(self):
            await async_database.c.insert_one({"_id": "other"})
            await super().insert()
            raise ZeroDivisionError

    await call(of_starlette(Other(views.client, async_database.name)), "/insert")
    assert await async_database.c.distinct("_id") == ["other"]


async def test_websockets_and_lifespan_pass_through(app_client):
    calls = []

    async def app(scope, receive, send):
        calls.append((scope["type"], receive, send, current_attempt()))

    middleware = AtomicRequestsMiddleware(app, app_client)
    for kind in ("lifespan", "websocket"):
        await middleware({"type": kind}, 1, 2)
    assert calls == [("lifespan", 1, 2, 0), ("websocket", 1, 2, 0)]


async def test_a_task_that_outlives_the_transaction_gets_an_error(views, seen):
    ended = asyncio.Event()
    strays = []

    class Careless(Views):
        async def insert(self):
            await super().insert()
            strays.append(asyncio.create_task(self.stray()))
            return 201

        async def stray(self):
            await ended.wait()
            await self.c.insert_one({"_id": 3})

    app = of_starlette(Careless(views.client, views.c.database.name))
    assert (await call(app, "/insert")).status == 201
    ended.set()
    with pytest.raises(InvalidOperation, match="has ended"):
        await strays[0]
    assert seen() == [1, 2]


async def test_the_applications_own_retry(views, seen):
    """`@non_atomic_requests` above `@atomic`: the view is a transaction that can be run again."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from tests.server.atomic.blocks import transient

    attempts = []

    @non_atomic_requests
    @atomic(views.client)
    async def endpoint(request):
        attempts.append(current_attempt())
        await views.insert()
        if len(attempts) < 3:
            raise transient()
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    app.add_middleware(AtomicRequestsMiddleware, client=views.client)
    answer = await call(app, "/", on_start=seen)
    assert (answer.status, answer.at_start, attempts) == (200, [1, 2], [1, 2, 3])


async def test_a_handler_that_sends_within_except_rolls_back(views, seen):
    """Of an application without a framework."""

    async def app(scope, receive, send):
        try:
            await views.fail()
        except ZeroDivisionError:
            await send({"type": "http.response.start", "status": 302, "headers": []})
            await send({"type": "http.response.body"})

    middleware = AtomicRequestsMiddleware(app, views.client)
    answer = await call(middleware, "/", on_start=seen)
    assert (answer.status, answer.at_start) == (302, [])
    # An exception that is being handled around the server is none of the application's.
    try:
        raise LookupError
    except LookupError:
        answer = await call(of_starlette(views), "/insert", on_start=seen)
    assert (answer.status, answer.at_start) == (201, [1, 2])


async def test_an_application_that_does_not_respond_rolls_back(views, seen):
    async def app(scope, receive, send):
        await views.insert()

    assert (await call(AtomicRequestsMiddleware(app, views.client), "/")).status is None
    assert seen() == []


async def test_an_application_that_swallows_the_error_of_the_commit(views, seen):
    """Its response is not sent, not even in part, and the error is raised nevertheless."""

    async def app(scope, receive, send):
        await views.swallow()
        for message in ({"type": "http.response.start", "status": 200}, BODY, BODY):
            try:
                await send(message)
            except Exception as error:
                errors.append(error)

    errors = []
    answer = await call(AtomicRequestsMiddleware(app, views.client), "/")
    assert isinstance(answer.error, TransactionRolledBack)
    assert errors == [answer.error] * 3
    assert (answer.body, seen()) == (b"", [])


BODY = {"type": "http.response.body", "body": b"x"}


async def test_the_time_of_a_request_can_be_limited(views, app_client, database):
    """The limit holds for the operations of the request, and for none of the stream."""
    database.c.insert_many([{"_id": n} for n in range(3)])

    class Slow(Views):
        async def insert(self):
            await self.c.find_one({"$where": "sleep(3000) || true"})

        async def read(self):
            assert ferromongo.asynchronous.mongo_client  # the package
            await self.c.find_one()

            async def body():
                yield str(pymongo_timeout()).encode()

            return body()

    app = of_starlette(Slow(app_client, database.name), timeout=0.5)
    answer = await call(app, "/insert")
    assert answer.error.timeout
    app = of_starlette(Slow(app_client, database.name), timeout=60)
    for spec in ("2.3", "2.4"):
        assert (await call(app, "/read", spec=spec)).body == b"None"
    assert pymongo_timeout() is None


def pymongo_timeout():
    from pymongo._csot import TIMEOUT

    return TIMEOUT.get()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"client": 5}, "needs an AsyncMongoClient"),
        ({"durable": True}, "durable"),
        ({"timeout": "a"}, "timeout"),
        ({"rollback_on": 500}, "rollback_on"),
        ({"read_concern": "majority"}, "read_concern"),
    ],
)
def test_wrong_arguments_are_refused(async_client, arguments, error):
    with pytest.raises(TypeError, match=error):
        AtomicRequestsMiddleware(None, **{"client": async_client, **arguments})


async def test_a_sync_client_is_refused(client):
    with pytest.raises(TypeError, match="would block the event loop"):
        AtomicRequestsMiddleware(None, client)
    app = AtomicRequestsMiddleware(None, lambda scope: client)
    answer = await call(app, "/")
    assert isinstance(answer.error, TypeError)


def test_non_atomic_requests_refuses_what_it_cannot_decorate():
    for wrong in (5, Views):
        with pytest.raises(TypeError, match="functions and methods"):
            non_atomic_requests(wrong)
