"""A transaction per request in Flask and in other WSGI applications, on a real server."""

import concurrent.futures
import sys
import threading

import flask
import pytest
from flask.views import MethodView
from tests.drivers import APP, ferromongo_only
from tests.server.middleware.wsgi_calls import call

import ferromongo
from ferromongo.errors import DuplicateKeyError, OperationFailure
from ferromongo.middleware import non_atomic_requests
from ferromongo.middleware.flask import atomic_requests
from ferromongo.middleware.wsgi import AtomicRequestsMiddleware
from ferromongo.transaction import (
    TransactionRolledBack,
    atomic,
    current_attempt,
    on_commit,
    set_rollback,
)

pytestmark = ferromongo_only


OK = "200 OK"


def shop(client, database, **options):
    """A Flask application."""
    app = flask.Flask("shop")
    app.logger.disabled = True
    c, log = client[database].c, client[database].log
    post = app.post

    def insert():
        c.insert_one({"_id": 1})
        c.insert_one({"_id": 2})

    @post("/insert")
    def insert_view():
        insert()
        return "", 201

    @post("/fail")
    def fail():
        insert()
        raise ZeroDivisionError

    @post("/refuse")
    def refuse():
        insert()
        flask.abort(409)

    @post("/refuse_inside")
    def refuse_inside():
        with atomic(client):
            insert()
            flask.abort(409)

    @post("/handled")
    def handled():
        insert()
        raise LookupError

    @app.errorhandler(LookupError)
    def answer_lookup_error(error):
        return "not there", 404

    @post("/status/<int:status>")
    def status(status):
        insert()
        return "", status

    @post("/roll_back")
    def roll_back():
        insert()
        set_rollback(True)
        return ""

    @app.route("/nothing", methods=["GET", "POST"])
    def nothing():
        return ""

    @app.get("/read")
    def read():
        return str(c.count_documents({}))

    @post("/nested")
    def nested():
        with atomic(client):
            c.insert_one({"_id": 1})
        atomic(client)(lambda: c.insert_one({"_id": 2}))()
        return ""

    @post("/swallow")
    def swallow():
        insert()
        try:
            c.insert_one({"_id": 1})
        except DuplicateKeyError:
            return ""

    @post("/hooks")
    def hooks():
        insert()
        on_commit(lambda: log.insert_one({"seen": c.count_documents({})}))
        return ""

    @post("/non_atomic")
    @non_atomic_requests
    def non_atomic():
        c.insert_one({"_id": 1})
        raise ZeroDivisionError

    class NonAtomic(MethodView):
        decorators = [non_atomic_requests]

        def post(self):
            c.insert_one({"_id": 1})
            raise ZeroDivisionError

    app.add_url_rule("/non_atomic_class", view_func=NonAtomic.as_view("non_atomic_class"))

    @post("/async")
    async def async_view():
        insert()
        return "", 201

    @post("/stream")
    def stream():
        insert()

        def body():
            c.insert_one({"_id": 3})
            yield str(c.count_documents({}))
            c.insert_one({"_id": 4})
            yield " chunks"

        return flask.Response(flask.stream_with_context(body()))

    atomic_requests(app, client, **options)
    return app


@pytest.fixture
def run(sync_app_client, mongodb_database_name, seen):
    def run(path, method="POST", **options):
        app = shop(sync_app_client, mongodb_database_name, **options)
        answer = call(app, path, method, on_start=seen)
        assert current_attempt() == 0
        sync_app_client[mongodb_database_name].log.insert_one({})
        return answer.status, answer.at_start, seen()

    return run


def test_the_transaction_is_committed_when_the_response_starts(run, recorder):
    assert run("/insert") == (201, [1, 2], [1, 2])
    assert [command["autocommit"] for command in recorder.sent("insert")[:2]] == [False, False]
    assert len(recorder.sent("commitTransaction")) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fail", 500),
        ("/refuse", 409),
        ("/refuse_inside", 409),
        ("/handled", 404),
        ("/status/500", 500),
        ("/status/503", 503),
        ("/roll_back", 200),
    ],
)
def test_it_is_rolled_back(run, recorder, path, status):
    assert run(path) == (status, [], [])
    assert len(recorder.sent("abortTransaction")) == 1
    assert not recorder.sent("commitTransaction")


def test_statuses_can_be_said_to_roll_back(run):
    assert run("/status/404") == (404, [1, 2], [1, 2])
    assert run("/status/503", rollback_on=lambda status: False)[2] == [1, 2]


def test_status_404_can_be_said_to_roll_back(run):
    assert run("/status/404", rollback_on=lambda status: status >= 400) == (404, [], [])


def test_the_wsgi_middleware_does_not_see_exceptions_that_flask_handles(
    sync_app_client, mongodb_database_name, seen
):
    """So there is `atomic_requests`."""
    app = flask.Flask("shop")

    @app.post("/refuse")
    def refuse():
        sync_app_client[mongodb_database_name].c.insert_one({"_id": 1})
        flask.abort(409)

    app.wsgi_app = AtomicRequestsMiddleware(app.wsgi_app, sync_app_client)
    assert call(app, "/refuse").status == 409
    assert seen() == [1]


def test_a_request_without_operations_sends_nothing(run, recorder):
    assert run("/nothing")[0] == 200
    assert [next(iter(command)) for command in recorder.sent()] == ["insert"]


def test_safe_methods_can_be_without_a_transaction(run, recorder):
    assert run("/read", "GET")[0] == 200
    assert len(recorder.sent("commitTransaction")) == 1
    assert run("/read", "GET", safe_methods=False)[0] == 200
    assert run("/insert", safe_methods=False)[0] == 201
    assert len(recorder.sent("commitTransaction")) == 2


def test_inner_blocks_join(run, recorder):
    assert run("/nested") == (200, [1, 2], [1, 2])
    assert len(recorder.sent("commitTransaction")) == 1


def test_a_server_error_that_is_swallowed_is_raised_to_the_server(
    sync_app_client, mongodb_database_name, seen
):
    answer = call(shop(sync_app_client, mongodb_database_name), "/swallow")
    assert isinstance(answer.error, TransactionRolledBack)
    assert (answer.body, seen()) == (b"", [])


def test_hooks_run_before_the_response_starts(sync_app_client, database, mongodb_database_name):
    app = shop(sync_app_client, mongodb_database_name)
    answer = call(app, "/hooks", on_start=lambda: database.log.find_one({}, {"_id": 0}))
    assert (answer.status, answer.at_start) == (200, {"seen": 2})


@pytest.mark.parametrize("path", ["/non_atomic", "/non_atomic_class"])
def test_non_atomic_views_are_outside(run, recorder, path):
    status, _, left = run(path)
    assert (status, left) == (500, [1])
    assert not recorder.sent("abortTransaction")


def test_async_views_take_part(run, recorder):
    assert run("/async") == (201, [1, 2], [1, 2])
    assert len(recorder.sent("commitTransaction")) == 1


def test_streams_are_outside(run, recorder):
    assert run("/stream") == (200, [1, 2], [1, 2, 3, 4])
    assert not any("autocommit" in command for command in recorder.sent("insert")[2:])


def test_a_commit_that_fails_is_a_500_and_nothing_is_written(
    mongodb_uri, mongodb_database_name, fail, seen
):
    with ferromongo.MongoClient(mongodb_uri, appname=APP) as client:
        app = shop(client, mongodb_database_name)
        with fail("commitTransaction", times=1, errorCode=251):
            answer = call(app, "/insert", on_start=seen)
        assert isinstance(answer.error, OperationFailure)
        assert (answer.status, answer.at_start, answer.body, seen()) == (500, None, b"", [])
        with fail("commitTransaction", times=2, closeConnection=True):
            assert call(app, "/insert", on_start=seen).at_start == [1, 2]


def test_many_requests_at_once(sync_app_client, database):
    database.create_collection("c")
    database.create_collection("log")
    app = flask.Flask("shop")
    app.logger.disabled = True
    c, log = (sync_app_client[database.name][name] for name in ("c", "log"))
    together = threading.Barrier(5)

    @app.post("/<int:number>")
    def insert(number):
        c.insert_one({"_id": number})
        together.wait(60)
        log.insert_one({"_id": number})
        assert c.count_documents({}) == 1
        return "", 503 if number % 3 == 0 else 201

    atomic_requests(app, sync_app_client)
    for start in (1, 6, 11):
        for collection in (database.c, database.log):
            collection.delete_many({})
        numbers = range(start, start + 5)
        with concurrent.futures.ThreadPoolExecutor(5) as threads:
            statuses = list(threads.map(lambda n: call(app, f"/{n}").status, numbers))
        assert statuses == [201 if number % 3 else 503 for number in numbers]
        for collection in (database.c, database.log):
            assert sorted(collection.distinct("_id")) == [n for n in numbers if n % 3]


def test_other_clients_are_not_affected(sync_app_client, client, mongodb_database_name, seen):
    def app(environ, start_response):
        client[mongodb_database_name].c.insert_one({"_id": 1})
        sync_app_client[mongodb_database_name].c.insert_one({"_id": 2})
        raise ZeroDivisionError

    assert call(AtomicRequestsMiddleware(app, sync_app_client), "/").status == 500
    assert seen() == [1]


# Applications without a framework.


@pytest.fixture
def c(sync_app_client, mongodb_database_name):
    return sync_app_client[mongodb_database_name].c


def run_plain(app, client, seen, **options):
    answer = call(AtomicRequestsMiddleware(app, client, **options), "/", on_start=seen)
    assert current_attempt() == 0
    return answer, seen()


def test_operations_after_start_response_take_part(sync_app_client, c, seen):
    """An application that returns its body has not started the response before that."""

    def app(environ, start_response):
        start_response(OK, [("Content-Type", "text/plain")])
        c.insert_one({"_id": 1})
        assert not seen()
        return [b"done"]

    answer, left = run_plain(app, sync_app_client, seen)
    assert (answer.status, answer.at_start, answer.body, left) == (200, [1], b"done", [1])


def test_a_generator_takes_part_up_to_its_first_chunk(sync_app_client, c, seen):
    closed = []

    def app(environ, start_response):
        try:
            c.insert_one({"_id": 1})
            start_response(OK, [("Content-Type", "text/plain")])
            c.insert_one({"_id": 2})
            yield b"a"
            c.insert_one({"_id": 3})
            yield b"b"
            raise ZeroDivisionError
        finally:
            closed.append(True)

    answer, left = run_plain(app, sync_app_client, seen)
    assert (answer.at_start, answer.body, left, closed) == ([1, 2], b"ab", [1, 2, 3], [True])


def test_a_generator_that_fails_before_its_first_chunk(sync_app_client, c, seen):
    def app(environ, start_response):
        c.insert_one({"_id": 1})
        start_response(OK, [("Content-Type", "text/plain")])
        raise ZeroDivisionError
        yield

    answer, left = run_plain(app, sync_app_client, seen)
    assert isinstance(answer.error, ZeroDivisionError)
    assert (answer.status, answer.at_start, left) == (500, None, [])


def test_write_starts_the_response(sync_app_client, c, seen):
    def app(environ, start_response):
        write = start_response(OK, [("Content-Type", "text/plain")])
        c.insert_one({"_id": 1})
        write(b"a")
        c.insert_one({"_id": 2})
        return [b"b"]

    answer, left = run_plain(app, sync_app_client, seen)
    assert (answer.at_start, answer.body, left) == ([1], b"ab", [1, 2])


def test_an_exception_given_to_start_response_rolls_back(sync_app_client, c, seen):
    def app(environ, start_response):
        start_response(OK, [("Content-Type", "text/plain")])
        try:
            c.insert_one({"_id": 1})
            raise LookupError
        except LookupError:
            start_response("404 Not Found", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"x"]

    answer, left = run_plain(app, sync_app_client, seen)
    assert (answer.status, answer.at_start, answer.body, left) == (404, [], b"x", [])


def test_start_response_is_called_once(sync_app_client, seen):
    def app(environ, start_response):
        start_response(OK, [("Content-Type", "text/plain")])
        with pytest.raises(AssertionError, match="again"):
            start_response(OK, [("Content-Type", "text/plain")])
        return [b"done"]

    assert run_plain(app, sync_app_client, seen)[0].body == b"done"


def test_the_body_is_closed_if_the_commit_fails(sync_app_client, c, seen):
    class Body(list):
        closed = False

        def close(self):
            Body.closed = True

    def app(environ, start_response):
        start_response(OK, [("Content-Type", "text/plain")])
        c.insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError):
            c.insert_one({"_id": 1})
        return Body([b"done"])

    answer, left = run_plain(app, sync_app_client, seen)
    assert isinstance(answer.error, TransactionRolledBack)
    assert (Body.closed, answer.body, left) == (True, b"", [])


def test_the_body_itself_is_returned(sync_app_client):
    """For servers that look at its class: lists, and files by `wsgi.file_wrapper`."""
    body = [b"done"]

    def app(environ, start_response):
        start_response(OK, [])
        return body

    middleware = AtomicRequestsMiddleware(app, sync_app_client)
    assert middleware({"REQUEST_METHOD": "POST"}, lambda *arguments: None) is body


def test_interrupts_roll_back(sync_app_client, c, seen):
    def app(environ, start_response):
        c.insert_one({"_id": 1})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plain(app, sync_app_client, seen)
    assert current_attempt() == 0
    assert seen() == []


def test_the_time_of_a_request_can_be_limited(sync_app_client, c, seen):
    c.insert_one({"_id": 1})

    def app(environ, start_response):
        c.find_one({"$where": "sleep(3000) || true"})

    answer, _ = run_plain(app, sync_app_client, seen, timeout=0.5)
    assert answer.error.timeout


def test_the_client_may_depend_on_the_request(sync_app_client, c, seen):
    def app(environ, start_response):
        c.insert_one({"_id": 1})
        raise ZeroDivisionError

    middleware = AtomicRequestsMiddleware(app, lambda environ: environ["shop.client"])
    with pytest.raises(ZeroDivisionError):
        middleware({"REQUEST_METHOD": "POST", "shop.client": sync_app_client}, None)
    assert seen() == []


def test_an_async_client_is_refused(async_client):
    with pytest.raises(TypeError, match="WSGI needs a MongoClient"):
        AtomicRequestsMiddleware(None, async_client)
