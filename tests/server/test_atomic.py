"""`ferromongo.transaction` on a real server: joining, the way out, retries, nesting, errors inside,
hooks, what is forbidden, and operations of several tasks and threads."""

# ruff: noqa: PT012 - what is raised within a block is raised by its end, too

import asyncio
import contextlib
import contextvars
import functools
import logging
import threading

import pytest
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from tests.drivers import APP, Awaitable, both_drivers, ferromongo_only, package
from tests.listeners import Commands, Recorder

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction import (
        OutsideTransactionWarning,
        TransactionReport,
        TransactionRolledBack,
        atomic,
        current_attempt,
        on_commit,
        on_rollback,
        outside_transaction,
        set_rollback,
    )


def plain(client):
    return client._target if isinstance(client, Awaitable) else client


def block(client, **options):
    """`atomic(client)` in the grammar of the driver."""
    made = atomic(plain(client), **options)
    return Awaitable(made) if isinstance(client, Awaitable) else made


def outside(client):
    return outside_transaction(plain(client))


def transient(text="again"):
    error = OperationFailure(text, 112, {"errorLabels": ["TransientTransactionError"]})
    assert error.has_error_label("TransientTransactionError")
    return error


async def ids(collection):
    return sorted([document["_id"] async for document in collection.find({}, {"_id": 1})])


@pytest.fixture
def use(driver, mongodb_uri, mongodb_database_name):
    """Runs `body(client, collection)`, where the document 0 is, then checks what is left there."""

    def use(body, left=None, **options):
        async def run():
            async with driver.client(mongodb_uri, **options) as client:
                collection = client[mongodb_database_name].c
                await collection.insert_one({"_id": 0, "n": 0})
                await body(client, collection)
                if left is not None:
                    assert await ids(collection) == left
                # Nothing is left of any scope.
                assert current_attempt() == 0
                await collection.update_one({"_id": 0}, {"$inc": {"end": 1}})

        driver.run(run())

    return use


# Joining, and the way out.


def test_operations_of_a_block_join_without_a_session(use):
    recorder = Recorder()

    async def body(client, collection):
        async with block(client):
            await collection.insert_one({"_id": 1})
            await collection.insert_many([{"_id": 2}, {"_id": 3}])
            await collection.update_one({"_id": 1}, {"$set": {"a": 1}})
            assert await collection.find_one({"_id": 1}) == {"_id": 1, "a": 1}
            assert [doc async for doc in collection.find({"_id": 1})] == [{"_id": 1, "a": 1}]
            counted = await collection.aggregate([{"$count": "n"}])
            assert [doc async for doc in counted] == [{"n": 4}]
            assert await collection.count_documents({}) == 4
            assert await collection.distinct("a") == [1]
            await collection.bulk_write([package.DeleteOne({"_id": 3})])
            await collection.database.command("find", collection.name)
            with outside(client):
                assert await ids(collection) == [0]
        transactions = {
            (bytes(command["lsid"]["id"]), command["txnNumber"])
            for command in recorder.sent()
            if command.get("autocommit") is False
        }
        assert len(transactions) == 1
        assert [c.get("startTransaction", False) for c in recorder.sent("insert")[1:]] == [
            True,
            False,
        ]

    use(body, [0, 1, 2], event_listeners=[recorder])


def test_a_decorated_function_is_a_transaction_each_time(use):
    async def body(client, collection):
        class Shop:
            @block(client)
            async def order(self, number, *, kind):
                """Orders."""
                await collection.insert_one({"_id": number, "kind": kind})
                return current_attempt(), number

        order = Shop().order
        assert await order(1, kind="a") == (1, 1)
        with pytest.raises(DuplicateKeyError):
            await order(1, kind="b")
        assert await order(2, kind="c") == (1, 2)

    use(body, [0, 1, 2])


def test_decorated_functions_keep_their_name_and_text(use):
    async def body(client, collection):
        async def named(a: int) -> int:
            """Text."""

        if isinstance(client, Awaitable):

            def named(a: int) -> int:
                """Text."""

        decorated = atomic(plain(client))(named)
        assert decorated.__name__ == "named"
        assert decorated.__doc__ == "Text."
        assert decorated.__wrapped__ is named
        assert asyncio.iscoroutinefunction(decorated) == asyncio.iscoroutinefunction(named)

    use(body)


def test_an_exception_rolls_back_and_is_raised_as_it_is(use):
    async def body(client, collection):
        error = KeyError("mine")
        with pytest.raises(KeyError) as raised:
            async with block(client):
                await collection.insert_one({"_id": 1})
                raise error
        assert raised.value is error

        async def fail():
            await collection.insert_one({"_id": 1})
            raise error

        with pytest.raises(KeyError) as raised:
            await client.run_atomic(fail)
        assert raised.value is error

    use(body, [0])


def test_cursors_are_read_inside_only(use):
    async def body(client, collection):
        await collection.insert_many([{"_id": n} for n in range(1, 10)])
        async with block(client):
            whole = collection.find()
            assert len([doc async for doc in whole]) == 10
            begun = collection.find(batch_size=2)
            await anext(begun)
            small = collection.find({"_id": {"$lt": 3}})
            await anext(small)
            opened = await collection.aggregate([{"$match": {}}], batchSize=2)
        for cursor in (begun, small, opened):
            with pytest.raises(InvalidOperation, match="transaction has ended"):
                [doc async for doc in cursor]
            await cursor.close()
        with pytest.raises(StopAsyncIteration):
            await anext(whole)
        # One that was not sent yet belongs to no transaction.
        async with block(client):
            lazy = collection.find()
        assert len([doc async for doc in lazy]) == 10

    use(body)


def test_other_clients_and_explicit_sessions_are_not_affected(use, driver, mongodb_uri):
    async def body(client, collection):
        async with driver.client(mongodb_uri) as other, client.start_session() as session:
            same = other[collection.database.name].c
            with pytest.raises(KeyError):
                async with block(client):
                    await collection.insert_one({"_id": 1})
                    await same.insert_one({"_id": 2})
                    await collection.insert_one({"_id": 3}, session=session)
                    async with block(other):
                        await same.insert_one({"_id": 4})
                        await collection.insert_one({"_id": 5})
                    raise KeyError

    use(body, [0, 2, 3, 4])


def test_a_scope_goes_before_a_bound_session(use):
    async def body(client, collection):
        async with client.start_session().bind():
            with pytest.raises(KeyError):
                async with block(client):
                    await collection.insert_one({"_id": 1})
                    raise KeyError
            await collection.insert_one({"_id": 2})
        with pytest.raises(KeyError):
            async with block(client):
                async with client.start_session().bind():
                    await collection.insert_one({"_id": 3})
                await collection.insert_one({"_id": 4})
                raise KeyError

    use(body, [0, 2])


def test_outside_of_a_transaction_another_one_may_run(use):
    async def body(client, collection):
        with pytest.raises(KeyError):
            async with block(client):
                await collection.insert_one({"_id": 1})
                with outside(client):
                    await collection.insert_one({"_id": 2})
                    async with block(client, durable=True):
                        await collection.insert_one({"_id": 3})
                        assert current_attempt() == 1
                    assert current_attempt() == 0
                    with pytest.raises(KeyError):
                        async with block(client):
                            await collection.insert_one({"_id": 4})
                            raise KeyError
                assert current_attempt() == 1
                await collection.insert_one({"_id": 5})
                raise KeyError

    use(body, [0, 2, 3])


def test_options_are_those_of_start_transaction(use):
    recorder = Recorder()

    async def body(client, collection):
        options = {
            "read_concern": ReadConcern("snapshot"),
            "write_concern": WriteConcern(w=1, j=True),
            "read_preference": ReadPreference.PRIMARY,
            "max_commit_time_ms": 5000,
        }
        async with block(client, **options):
            await collection.insert_one({"_id": 1})
        await client.run_atomic(functools.partial(collection.find_one, {}), **options)
        inserted, found = recorder.sent("insert")[-1], recorder.sent("find")[-1]
        assert inserted["readConcern"]["level"] == found["readConcern"]["level"] == "snapshot"
        for commit in recorder.sent("commitTransaction"):
            assert commit["writeConcern"] == {"w": 1, "j": True}
            assert commit["maxTimeMS"] == 5000
        assert len(recorder.sent("commitTransaction")) == 2

    use(body, [0, 1], event_listeners=[recorder])


# The start.


def test_an_empty_block_sends_nothing(use):
    recorder = Recorder()

    async def body(client, collection):
        before = len(recorder.events)
        called = []
        async with block(client):
            on_commit(lambda: called.append("with"))
        await block(client)(_nothing)()
        assert await client.run_atomic(_nothing) is None
        with pytest.raises(KeyError):
            async with block(client):
                raise KeyError
        async with block(client):
            set_rollback(True)
        assert len(recorder.events) == before
        assert called == ["with"]

    use(body, event_listeners=[recorder])


async def _nothing():
    return None


# Retry.


def test_a_transient_error_runs_the_function_again(use, caplog):
    async def body(client, collection):
        seen, retries = [], []

        async def work(number):
            seen.append(current_attempt())
            await collection.insert_one({"_id": number})
            if len(seen) % 3:
                raise transient(f"no {len(seen)}")
            return number

        def on_retry(attempt, error):
            retries.append((attempt, str(error).partition(",")[0], current_attempt()))

        assert await block(client, on_retry=on_retry)(work)(1) == 1
        with caplog.at_level(logging.INFO, "ferromongo.transaction"):
            report = await client.run_atomic(work, 2, report=True)
        assert isinstance(report, TransactionReport)
        result, attempts = report
        assert result == report.result == 2
        assert [str(error).partition(",")[0] for error in attempts] == ["no 4", "no 5"]
        assert seen == [1, 2, 3, 1, 2, 3]
        assert retries == [(1, "no 1", 0), (2, "no 2", 0)]
        assert len(caplog.records) == 2

    use(body, [0, 1, 2])


def test_max_attempts_and_what_the_last_error_says_of_them(use):
    async def body(client, collection):
        async def work():
            await collection.insert_one({"_id": 1})
            raise transient(str(current_attempt()))

        with pytest.raises(OperationFailure) as raised:
            await client.run_atomic(work, max_attempts=3)
        assert [str(error)[0] for error in raised.value.attempts] == ["1", "2", "3"]
        assert raised.value is raised.value.attempts[-1]
        with pytest.raises(OperationFailure) as raised:
            await block(client, max_attempts=1)(work)()
        assert len(raised.value.attempts) == 1

    use(body, [0])


def test_the_time_for_attempts_can_be_limited(use):
    async def body(client, collection):
        async def work():
            await collection.insert_one({"_id": 1})
            raise transient()

        with pytest.raises(PyMongoError) as raised:
            await client.run_atomic(work, timeout=0.5)
        assert raised.value.timeout
        assert raised.value.attempts
        # Operations too are limited by it.
        slow = {"$where": "sleep(60000) || true"}
        with pytest.raises(PyMongoError) as raised:
            async with block(client, timeout=0.5):
                await collection.find_one(slow)
        assert raised.value.timeout

    use(body, [0])


def test_a_block_runs_once_but_its_commit_again(use, fail):
    async def body(client, collection):
        runs = []
        with pytest.raises(OperationFailure):
            async with block(client):
                runs.append(1)
                raise transient()
        interrupted = {"code": 11601, "errmsg": "operation was interrupted"}
        with fail("commitTransaction", times=2, writeConcernError=interrupted) as fault:
            async with block(client):
                await collection.insert_one({"_id": 1})
                runs.append(2)
        assert fault.hits == 2
        with fail("commitTransaction", times=1, errorCode=251), pytest.raises(OperationFailure):
            async with block(client):
                await collection.insert_one({"_id": 2})
                runs.append(3)
        assert runs == [1, 2, 3]

    use(body, [0, 1], appName=APP)


def test_a_commit_that_the_server_undid_runs_the_function_again(use, fail):
    async def body(client, collection):
        attempts = []

        async def work():
            attempts.append(current_attempt())
            await collection.insert_one({"_id": 1})

        gone = {"errorCode": 251, "errorLabels": ["TransientTransactionError"]}
        with fail("commitTransaction", times=1, **gone):
            await client.run_atomic(work)
        assert attempts == [1, 2]
        # It is committed, though not as safely as was asked for: never again.
        concern = {"code": 100, "errmsg": "no"}
        insert = functools.partial(collection.insert_one, {"_id": 2})
        failing = fail("commitTransaction", times=1, writeConcernError=concern)
        with failing, pytest.raises(PyMongoError):
            await client.run_atomic(insert)

    use(body, [0, 1, 2], appName=APP)


def test_each_retry_names_the_former_attempt_as_over(use):
    """The same server session goes on: the next number ends what is left of the former attempt."""
    recorder = Recorder()

    async def body(client, collection):
        async def work():
            await collection.insert_one({"_id": current_attempt()})
            if current_attempt() < 3:
                raise transient()

        await client.run_atomic(work)
        sent = recorder.sent("insert")[1:]
        numbers = [command["txnNumber"] for command in sent]
        assert len({bytes(command["lsid"]["id"]) for command in sent}) == 1
        assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]

    use(body, [0, 3], event_listeners=[recorder])


def test_write_conflicts_are_retried_until_they_are_over(use, driver):
    async def body(client, collection):
        first = asyncio.Event() if driver.name == "async" else threading.Event()

        async def other():
            async with client.start_session() as session, await session.start_transaction():
                update = {"$inc": {"n": 10}}
                await collection.update_one({"_id": 0}, update, session=session)
                first.set()
                while len(attempts) < 2:
                    await driver.sleep(0.01)

        attempts = []

        async def work():
            attempts.append(current_attempt())
            await collection.update_one({"_id": 0}, {"$inc": {"n": 1}})

        job = driver.start(other)
        await (driver.blocking(first.wait) if driver.name == "sync" else first.wait())
        report = await client.run_atomic(work, report=True)
        await job.result()
        assert len(report.attempts) == len(attempts) - 1 >= 1
        assert {error.code for error in report.attempts} == {112}
        assert (await collection.find_one({"_id": 0}))["n"] == 11

    use(body)


# Nesting.


def test_inner_blocks_join(use):
    recorder = Recorder()

    async def body(client, collection):
        @block(client, max_attempts=7)
        async def inner(number):
            await collection.insert_one({"_id": number})
            return current_attempt()

        async with block(client):
            assert await inner(1) == 1
            async with block(client):
                await collection.insert_one({"_id": 2})
            await client.run_atomic(functools.partial(collection.insert_one, {"_id": 3}))
            with outside(client):
                assert await ids(collection) == [0]
        assert len(recorder.sent("commitTransaction")) == 1

    use(body, [0, 1, 2, 3], event_listeners=[recorder])


@pytest.mark.parametrize("form", ["with", "decorator"])
def test_an_exception_that_leaves_an_inner_block_rolls_all_back(use, form):
    async def body(client, collection):
        error = KeyError("inner")

        @block(client)
        async def inner():
            await collection.insert_one({"_id": 2})
            raise error

        async def outer():
            await collection.insert_one({"_id": 1})
            with pytest.raises(KeyError):
                await inner()
            with pytest.raises(TransactionRolledBack) as later:
                await collection.insert_one({"_id": 3})
            assert later.value.__cause__ is error
            with pytest.raises(TransactionRolledBack):
                async with block(client):
                    raise AssertionError("not reached")

        with pytest.raises(TransactionRolledBack) as raised:
            if form == "with":
                async with block(client):
                    await outer()
            else:
                await block(client)(outer)()
        assert raised.value.__cause__ is error
        assert not raised.value.has_error_label("TransientTransactionError")

    use(body, [0])


def test_only_the_outermost_block_retries(use):
    async def body(client, collection):
        inner_runs, outer_runs = [], []

        @block(client)
        async def inner():
            inner_runs.append(current_attempt())
            await collection.insert_one({"_id": 1})
            if len(inner_runs) == 1:
                raise transient()

        @block(client)
        async def outer():
            outer_runs.append(current_attempt())
            await inner()

        await outer()
        assert inner_runs == outer_runs == [1, 2]

    use(body, [0, 1])


def test_a_durable_block_refuses_to_be_an_inner_one(use):
    async def body(client, collection):
        async with block(client, durable=True):
            await collection.insert_one({"_id": 1})
            with pytest.raises(InvalidOperation, match="durable"):
                async with block(client, durable=True):
                    pass
            with pytest.raises(InvalidOperation, match="durable"):
                await client.run_atomic(_nothing, durable=True)

    use(body, [0, 1])


# Errors inside.


def test_after_a_server_error_nothing_more_is_sent(use):
    recorder = Recorder()

    async def body(client, collection):
        reader = collection.find(batch_size=2)
        with pytest.raises(TransactionRolledBack) as raised:
            async with block(client):
                await collection.insert_many([{"_id": n} for n in range(1, 6)])
                reader = collection.find(batch_size=2)
                await anext(reader)
                with pytest.raises(DuplicateKeyError):
                    await collection.insert_one({"_id": 0})
                before = len(recorder.sent())
                for call in (
                    lambda: collection.insert_one({"_id": 7}),
                    collection.find_one,
                    lambda: collection.bulk_write([package.InsertOne({})]),
                    reader.to_list,
                ):
                    with pytest.raises(TransactionRolledBack) as later:
                        await call()
                    assert isinstance(later.value.__cause__, DuplicateKeyError)
                assert len(recorder.sent()) == before
        assert isinstance(raised.value.__cause__, DuplicateKeyError)
        assert not recorder.sent("commitTransaction")
        assert recorder.sent("abortTransaction")

    use(body, [0], event_listeners=[recorder])


def test_a_swallowed_duplicate_key_ends_without_a_retry(use):
    async def body(client, collection):
        runs = []

        async def work():
            runs.append(1)
            await collection.insert_one({"_id": 1})
            with contextlib.suppress(DuplicateKeyError):
                await collection.insert_one({"_id": 0})

        with pytest.raises(TransactionRolledBack) as raised:
            await client.run_atomic(work)
        assert isinstance(raised.value.__cause__, DuplicateKeyError)
        assert runs == [1]

    use(body, [0])


@pytest.mark.parametrize("becomes", ["nothing", "another error"])
def test_a_swallowed_transient_error_leads_to_a_retry(use, fail, becomes):
    async def body(client, collection):
        runs = []

        async def work():
            runs.append(current_attempt())
            try:
                await collection.insert_one({"_id": 1})
            except OperationFailure:
                if becomes == "another error":
                    raise KeyError("of the application") from None

        conflict = {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}
        with fail("insert", times=2, **conflict):
            await client.run_atomic(work)
        assert runs == [1, 2, 3]
        # Without a retry left, the application's own error is raised.
        expected = TransactionRolledBack if becomes == "nothing" else KeyError
        with fail("insert", times=2, **conflict), pytest.raises(expected):
            await client.run_atomic(work, max_attempts=1)

    use(body, [0, 1], appName=APP)


def test_errors_of_arguments_and_own_exceptions_do_no_harm(use):
    async def body(client, collection):
        async with block(client):
            await collection.insert_one({"_id": 1})
            with pytest.raises(TypeError):
                await collection.insert_one(1)
            with pytest.raises(package.errors.InvalidDocument):
                await collection.insert_one({"_id": 2, "x": object()})
            with pytest.raises(InvalidOperation):
                await collection.bulk_write([])
            with pytest.raises(KeyError):
                raise KeyError
            await collection.insert_one({"_id": 3})

    use(body, [0, 1, 3])


def test_a_transaction_that_the_server_ended_is_not_autocommitted(use):
    async def body(client, collection):
        with pytest.raises(PyMongoError):
            async with block(client) as session:
                await collection.insert_one({"_id": 1})
                with outside(client):
                    await client.admin.command("killSessions", [{"id": session.session_id["id"]}])
                for _ in range(2):
                    with pytest.raises(PyMongoError):
                        await collection.insert_one({"_id": 2})

    use(body, [0])


def test_what_is_illegal_in_a_transaction_fails_with_the_reason(use):
    async def body(client, collection):
        with pytest.raises(OperationFailure) as raised:
            async with block(client):
                await collection.insert_one({"_id": 1})
                await collection.estimated_document_count()
        assert "transaction" in str(raised.value)

    use(body, [0])


# Hooks.


def test_hooks_run_in_order_after_the_outermost_commit(use):
    async def body(client, collection):
        called = []
        async with block(client):
            await collection.insert_one({"_id": 1})
            on_commit(lambda: called.append("first"))
            async with block(client):
                on_commit(lambda: called.append("second"))
                on_rollback(lambda: called.append("never"))
            assert called == []

            def third():
                called.append(("third", current_attempt()))
                on_commit(lambda: called.append("at once"))

            on_commit(third)
        assert called == ["first", "second", ("third", 0), "at once"]
        on_commit(lambda: called.append("outside"))
        on_rollback(lambda: called.append("never"))
        assert called[4:] == ["outside"]

    use(body, [0, 1])


def test_hooks_are_dropped_on_rollback_and_at_each_retry(use):
    async def body(client, collection):
        called = []

        async def work():
            number = current_attempt()
            on_commit(lambda: called.append(("committed", number)))
            on_rollback(lambda: called.append(("rolled back", number)))
            await collection.insert_one({"_id": 1})
            if number < 3:
                raise transient()

        await client.run_atomic(work)
        assert called == [("rolled back", 1), ("rolled back", 2), ("committed", 3)]
        del called[:]
        with pytest.raises(DuplicateKeyError):
            await client.run_atomic(work)
        assert called == [("rolled back", 1)]
        del called[:]
        with pytest.raises(DuplicateKeyError):
            async with block(client):
                on_commit(lambda: called.append("committed"))
                on_rollback(lambda: called.append("rolled back"))
                await collection.insert_one({"_id": 0})
        assert called == ["rolled back"]

    use(body, [0, 1])


def test_a_hook_that_fails(use, caplog):
    async def body(client, collection):
        called = []

        def fail():
            raise KeyError("hook")

        with pytest.raises(KeyError):
            async with block(client):
                await collection.insert_one({"_id": 1})
                on_commit(fail, robust=True)
                on_commit(lambda: called.append(1))
                on_commit(fail)
                on_commit(lambda: called.append(2))
        assert called == [1]

        async def work():
            await collection.insert_one({"_id": 2})
            on_commit(fail)

        with pytest.raises(KeyError):
            await client.run_atomic(work)
        with pytest.raises(ValueError, match="mine"):
            async with block(client):
                on_rollback(fail)
                on_rollback(lambda: called.append(3))
                raise ValueError("mine")
        assert called == [1, 3]
        assert len([r for r in caplog.records if r.name == "ferromongo.transaction"]) == 2
        on_commit(fail, robust=True)
        with pytest.raises(KeyError):
            on_commit(fail)

    use(body, [0, 1, 2])


def test_set_rollback(use):
    async def body(client, collection):
        called = []

        async def work(number):
            await collection.insert_one({"_id": number})
            on_rollback(lambda: called.append(number))
            set_rollback(True)
            await collection.insert_one({"_id": -number})
            return number

        assert await client.run_atomic(work, 1) == 1
        async with block(client):
            await work(2)
        async with block(client):
            await work(3)
            set_rollback(False)
        assert called == [1, 2]
        with pytest.raises(TransactionRolledBack):
            async with block(client):
                with pytest.raises(DuplicateKeyError):
                    await collection.insert_one({"_id": 0})
                set_rollback(False)
        with pytest.raises(InvalidOperation):
            set_rollback(True)

    use(body, [-3, 0, 3])


async def test_async_hooks_are_awaited(async_client, mongodb_database_name):
    called = []

    async def hook(number):
        await asyncio.sleep(0)
        called.append((number, current_attempt()))

    async with atomic(async_client):
        await async_client[mongodb_database_name].c.insert_one({})
        await on_commit(functools.partial(hook, 1))
        on_commit(lambda: hook(2))
        assert called == []
    assert called == [(1, 0), (2, 0)]
    await on_commit(functools.partial(hook, 3))
    await on_commit(lambda: called.append(4))
    assert called[2:] == [(3, 0), 4]

    async def fail():
        raise KeyError

    await on_commit(fail, robust=True)
    with pytest.raises(KeyError):
        await on_commit(fail)
    with pytest.raises(ValueError, match="mine"):
        async with atomic(async_client):
            on_rollback(functools.partial(hook, 5))
            raise ValueError("mine")
    assert called[4:] == [(5, 0)]


def test_async_hooks_need_an_async_block(client):
    with atomic(client), pytest.raises(TypeError, match="AsyncMongoClient"):
        on_commit(_nothing)
    with pytest.raises(TypeError, match="AsyncMongoClient"), atomic(client):
        on_commit(lambda: _nothing())


# Several tasks and threads.


async def test_gathered_operations_take_turns(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    await collection.insert_one({"_id": 0, "n": 0})
    async with atomic(async_client):
        results = await asyncio.gather(
            *[collection.update_one({"_id": 0}, {"$inc": {"n": 1}}) for _ in range(30)],
            *[collection.find_one({"_id": 0}) for _ in range(10)],
            *[collection.insert_many([{"x": n}, {"x": n}, {"x": n}]) for n in range(5)],
        )
    assert len(results) == 45
    assert (await collection.find_one({"_id": 0}))["n"] == 30
    assert await collection.count_documents({}) == 16


async def test_a_failing_task_group_rolls_back(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    await collection.insert_one({"_id": 0, "n": 0})

    async def work(number):
        await collection.update_one({"_id": 0}, {"$inc": {"n": 1}})
        if number == 5:
            raise KeyError
        await collection.insert_one({"_id": number})

    with pytest.raises(ExceptionGroup):
        async with atomic(async_client), asyncio.TaskGroup() as tasks:
            for number in range(1, 11):
                tasks.create_task(work(number))
    assert await ids(collection) == [0]
    assert (await collection.find_one())["n"] == 0


async def test_to_thread_inherits_a_scope_of_a_sync_client(client, mongodb_database_name):
    collection = client[mongodb_database_name].c
    with pytest.raises(KeyError), atomic(client):
        await asyncio.gather(
            *[asyncio.to_thread(collection.insert_one, {"_id": n}) for n in range(20)]
        )
        assert collection.count_documents({}) == 20
        raise KeyError
    assert collection.count_documents({}) == 0


def in_threads(count, work):
    errors = []

    def run(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(run, number))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_threads_with_copied_contexts_take_turns(client, mongodb_database_name):
    collection = client[mongodb_database_name].c
    collection.insert_one({"_id": 0, "n": 0})
    with atomic(client):
        errors = in_threads(
            8,
            lambda number: [
                collection.update_one({"_id": 0}, {"$inc": {"n": 1}}),
                collection.insert_one({"_id": number + 1}),
                list(collection.find(batch_size=2)),
            ],
        )
    assert errors == []
    assert collection.count_documents({}) == 9
    assert collection.find_one({"_id": 0})["n"] == 8


async def test_concurrent_operations_can_be_refused(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    await collection.insert_one({"_id": 0})
    results = []
    async with atomic(async_client, concurrency="error"):
        await collection.insert_one({"_id": 1})
        slow = {"$where": "sleep(200) || true"}
        found = [collection.find_one(slow), collection.find_one({}), collection.find_one({})]
        results += await asyncio.gather(*found, return_exceptions=True)
        await collection.insert_one({"_id": 2})
    assert [isinstance(result, InvalidOperation) for result in results] == [False, True, True]
    assert "under way" in str(results[1])
    assert await ids(collection) == [0, 1, 2]


async def test_a_task_that_outlives_the_block_gets_an_error(async_client, mongodb_database_name):
    collection = async_client[mongodb_database_name].c
    over = asyncio.Event()

    async def work(number):
        await over.wait()
        await collection.insert_one({"_id": number})

    async with atomic(async_client):
        await collection.insert_one({"_id": 1})
        late = asyncio.create_task(work(2))
        nested = asyncio.create_task(atomic(async_client)(work)(3))
    async with atomic(async_client):
        empty = asyncio.create_task(work(4))
    over.set()
    for task in (late, nested, empty):
        with pytest.raises(InvalidOperation, match="transaction has ended"):
            await task
    assert await ids(collection) == [1]


async def test_a_task_of_an_attempt_that_failed_does_not_join_the_next(
    async_client, mongodb_database_name
):
    collection = async_client[mongodb_database_name].c
    over = asyncio.Event()
    strays = []

    async def stray():
        await over.wait()
        await collection.insert_one({"_id": "stray"})

    @atomic(async_client)
    async def work():
        await collection.insert_one({"_id": current_attempt()})
        if current_attempt() == 1:
            strays.append(asyncio.create_task(stray()))
            raise transient()
        over.set()
        with pytest.raises(InvalidOperation, match="transaction has ended"):
            await strays[0]

    await work()
    assert [document["_id"] async for document in collection.find()] == [2]


def test_a_thread_that_outlives_the_block_gets_an_error(client, mongodb_database_name):
    collection = client[mongodb_database_name].c
    over, errors = threading.Event(), []

    def work():
        over.wait()
        try:
            collection.insert_one({"_id": 2})
        except InvalidOperation as error:
            errors.append(str(error))

    with atomic(client):
        collection.insert_one({"_id": 1})
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
    over.set()
    thread.join()
    assert len(errors) == 1
    assert "transaction has ended" in errors[0]
    assert collection.count_documents({}) == 1


def test_operations_waiting_for_their_turn_when_the_block_ends(client, mongodb_database_name):
    """None of them is lost, doubled or run on its own."""
    collection = client[mongodb_database_name].c
    collection.insert_one({"_id": "first"})
    done, refused = [], []

    def work(number):
        try:
            for step in range(20):
                collection.insert_one({"_id": (number * 100) + step})
                done.append(number * 100 + step)
        except InvalidOperation as error:
            refused.append(error)

    with atomic(client):
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work, number))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        collection.insert_one({"_id": "last"})
    for thread in threads:
        thread.join()
    assert {*done, "first", "last"} == {document["_id"] for document in collection.find()}


def test_listeners_are_outside(mongodb_uri, mongodb_database_name):
    """An operation of a listener would wait for the one that waits for the listener."""
    seen = []

    def hear(event):
        if event.command_name == "insert" and not seen:
            seen.append(event)
            seen.append(other[mongodb_database_name].log.insert_one({"_id": 1}))
            seen.append(current_attempt())

    with package.MongoClient(mongodb_uri, event_listeners=[Commands(hear)]) as client:
        other = client
        with pytest.raises(KeyError), atomic(client):
            client[mongodb_database_name].c.insert_one({"_id": 1})
            raise KeyError
        assert seen[2] == 0
        assert client[mongodb_database_name].log.count_documents({}) == 1
        assert client[mongodb_database_name].c.count_documents({}) == 0


# Forbidden inside.


def test_the_session_of_a_block_is_ended_by_the_block(use):
    async def body(client, collection):
        async with block(client) as session:
            await collection.insert_one({"_id": 1}, session=session)
            assert session.in_transaction
            cursor = collection.find()
            await anext(cursor)
            for end in (
                session.commit_transaction,
                session.abort_transaction,
                session.start_transaction,
                functools.partial(session.with_transaction, _with_session),
                session.end_session,
            ):
                with pytest.raises(InvalidOperation, match="atomic"):
                    await end()
            assert session.in_transaction
            assert plain(cursor).session is plain(session)
            await collection.insert_one({"_id": 2})
        assert not session.in_transaction

    use(body, [0, 1, 2])


async def _with_session(session):
    return None


def test_with_transaction_of_another_session_is_a_transaction_of_its_own(use):
    async def body(client, collection):
        async def callback(session):
            await collection.insert_one({"_id": 2}, session=session)
            await collection.insert_one({"_id": 3})  # joins the block

        with pytest.raises(KeyError):
            async with block(client):
                await collection.insert_one({"_id": 1})
                async with client.start_session() as session:
                    await session.with_transaction(callback)
                raise KeyError

    use(body, [0, 2])


# Arguments.


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"savepoint": True}, ConfigurationError),
        ({"concurrency": "maybe"}, ValueError),
        ({"max_attempts": 0}, ValueError),
        ({"max_attempts": 1.5}, TypeError),
        ({"max_attempts": True}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"on_retry": 1}, TypeError),
        ({"read_concern": "majority"}, TypeError),
        ({"write_concern": {"w": 1}}, TypeError),
        ({"write_concern": WriteConcern(w=0)}, ConfigurationError),
        ({"read_preference": "primary"}, TypeError),
        ({"max_commit_time_ms": "1"}, TypeError),
        ({"session": None}, TypeError),
    ],
)
def test_wrong_options_are_refused(use, options, error):
    async def body(client, collection):
        with pytest.raises(error):
            block(client, **options)
        with pytest.raises(error):
            await client.run_atomic(_nothing, **options)

    use(body)


def test_functions_that_cannot_be_atomic_are_refused(client, async_client):
    def sync():
        return 1

    def generator():
        yield 1

    async def async_generator():
        yield 1

    class Called:
        def __call__(self):
            yield 1

    for made in (atomic(client), atomic(async_client)):
        for wrong in (generator, async_generator, Called(), functools.partial(generator)):
            with pytest.raises(TypeError, match="generator"):
                made(wrong)
        for wrong in (1, Called):
            with pytest.raises(TypeError, match="makes a function atomic"):
                made(wrong)
    with pytest.raises(TypeError, match="AsyncMongoClient"):
        atomic(client)(_nothing)
    with pytest.raises(TypeError, match="AsyncMongoClient"):
        atomic(client)(functools.partial(_nothing))
    with pytest.raises(TypeError, match="AsyncMongoClient"):
        client.run_atomic(_nothing)
    with pytest.raises(TypeError, match="AsyncMongoClient"):
        atomic(client)(lambda: _nothing())()
    with pytest.raises(TypeError, match="async functions only"):
        atomic(async_client)(sync)
    with pytest.raises(TypeError):
        atomic(client.test)
    with pytest.raises(TypeError):
        outside_transaction(client.test)
    assert issubclass(OutsideTransactionWarning, Warning)


def test_a_block_in_use_is_not_entered_again(use):
    async def body(client, collection):
        again = block(client)
        for number in (1, 2):
            async with again:
                await collection.insert_one({"_id": number})
                with pytest.raises(InvalidOperation, match="in use"):
                    async with again:
                        pass

    use(body, [0, 1, 2])


# With the other things.


@both_drivers
async def test_grid_fs_joins(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri) as client:
        bucket = driver.gridfs("GridFSBucket", client[mongodb_database_name])
        with pytest.raises(TransactionRolledBack, match="listIndexes"):
            async with block(client):
                await bucket.upload_from_stream("none", b"the indexes cannot be made here")
        await bucket.upload_from_stream("first", b"makes collections and indexes")
        with pytest.raises(KeyError):
            async with block(client):
                await bucket.upload_from_stream("second", b"2" * 300_000)
                raise KeyError
        async with block(client):
            number = await bucket.upload_from_stream("third", b"3" * 300_000)
            stream = await bucket.open_download_stream(number)
            assert await stream.read() == b"3" * 300_000
        names = [file["filename"] async for file in client[mongodb_database_name].fs.files.find()]
        assert sorted(names) == ["first", "third"]
