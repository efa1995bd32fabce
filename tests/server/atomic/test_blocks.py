"""`ferromongo.transaction` on a real server: joining, the way out, nesting, what is forbidden."""

# ruff: noqa: PT012 - what is raised within a block is raised by its end, too

import asyncio
import functools

import pytest
from pymongo.errors import ConfigurationError, DuplicateKeyError, InvalidOperation
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from tests.drivers import Awaitable, both_drivers, ferromongo_only, package
from tests.listeners import Recorder
from tests.server.atomic.blocks import block, ids, nothing, outside, plain, transient

pytestmark = ferromongo_only

if package.__name__ == "ferromongo":
    from ferromongo.transaction import (
        OutsideTransactionWarning,
        TransactionRolledBack,
        atomic,
        current_attempt,
        on_commit,
        outside_transaction,
        set_rollback,
    )


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
        await block(client)(nothing)()
        assert await client.run_atomic(nothing) is None
        with pytest.raises(KeyError):
            async with block(client):
                raise KeyError
        async with block(client):
            set_rollback(True)
        assert len(recorder.events) == before
        assert called == ["with"]

    use(body, event_listeners=[recorder])


def test_the_session_of_an_empty_block_has_ended_with_it(use):
    async def body(client, collection):
        async with block(client) as first:
            pass
        async with block(client) as second:
            assert second.in_transaction
        for session in (first, second):
            assert session.has_ended
            assert not session.in_transaction
            with pytest.raises(InvalidOperation, match="ended"):
                await collection.insert_one({"_id": 1}, session=session)

    use(body, [0])


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
                await client.run_atomic(nothing, durable=True)

    use(body, [0, 1])


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
            await client.run_atomic(nothing, **options)

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
        atomic(client)(nothing)
    with pytest.raises(TypeError, match="AsyncMongoClient"):
        atomic(client)(functools.partial(nothing))
    with pytest.raises(TypeError, match="AsyncMongoClient"):
        client.run_atomic(nothing)
    with pytest.raises(TypeError, match="AsyncMongoClient"):
        atomic(client)(lambda: nothing())()
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
        with pytest.raises(KeyError):
            async with block(client):
                await bucket.upload_from_stream("none", b"makes collections and indexes")
                raise KeyError
        for name in ("files", "chunks"):
            collection = client[mongodb_database_name].fs[name]
            assert len(await collection.index_information()) == 2
            assert await collection.count_documents({}) == 0
        async with block(client):
            await bucket.upload_from_stream("first", b"finds the indexes")
        with pytest.raises(KeyError):
            async with block(client):
                await bucket.upload_from_stream("second", b"2" * 300_000)
                raise KeyError
        async with block(client):
            number = await bucket.upload_from_stream("third", b"3" * 300_000)
            stream = await bucket.open_download_stream(number)
            assert await stream.read() == b"3" * 300_000
        async with client.start_session() as session, session.bind(end_session=False):
            await session.start_transaction()
            with pytest.raises(InvalidOperation, match="GridFS"):
                await bucket.upload_from_stream("refused", b"4")
            with outside(client):
                await bucket.upload_from_stream("outside", b"5")
            await session.abort_transaction()
        names = [file["filename"] async for file in client[mongodb_database_name].fs.files.find()]
        assert sorted(names) == ["first", "outside", "third"]
