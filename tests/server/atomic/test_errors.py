"""`ferromongo.transaction` on a real server: retries, errors inside, and hooks."""

# ruff: noqa: PT012 - what is raised within a block is raised by its end, too

import asyncio
import contextlib
import functools
import logging
import threading

import pytest
from pymongo.errors import DuplicateKeyError, InvalidOperation, OperationFailure, PyMongoError
from tests.drivers import APP, ferromongo_only, package
from tests.listeners import Recorder
from tests.server.atomic.blocks import block, nothing, outside, transient

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction import (
        TransactionReport,
        TransactionRolledBack,
        atomic,
        current_attempt,
        on_commit,
        on_rollback,
        set_rollback,
    )


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
        on_commit(nothing)
    with pytest.raises(TypeError, match="AsyncMongoClient"), atomic(client):
        on_commit(lambda: nothing())
