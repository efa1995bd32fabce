"""Sessions, transactions and change streams, beside Motor."""

from __future__ import annotations

from pymongo import WriteConcern
from pymongo.errors import OperationFailure
from tests.parity.beside_motor import Programs, raised, raised_at_once, raised_stop

program = Programs()


@program
async def sessions(module, collection):
    await collection.insert_one({"_id": 0})
    client = collection.database.client
    started = client.start_session()
    async with await started as session:
        inside = await collection.find_one({}, session=session)
        states = [session.has_ended, session.in_transaction, session.client is client]
        states += [session.options.causal_consistency, set(session.session_id)]
        states += [type(session).__name__, session.operation_time is not None]
        session.advance_cluster_time(session.cluster_time)
        session.advance_operation_time(session.operation_time)
        by_position = await collection.find_one({}, None, 0, 0, session=session)
        listed = await collection.find({}, session=session).to_list(1)
        aggregated = await collection.aggregate([], session=session).to_list(1)
    other = await client.start_session()
    await other.end_session()
    return [
        inside,
        states,
        by_position,
        listed,
        aggregated,
        session.has_ended,
        other.has_ended,
        raised_at_once(session.__enter__),
        await raised(collection.find_one({}, session=session)),
        raised_at_once(hash, session),
    ]


@program
async def transactions(module, collection):
    await collection.insert_one({"_id": 0})
    client = collection.database.client
    seen = []
    async with await client.start_session() as session:
        async with session.start_transaction(write_concern=WriteConcern("majority")):
            await collection.insert_one({"_id": 1}, session=session)
            seen.append(session.in_transaction)
        seen.append(await collection.count_documents({}))
        try:
            async with session.start_transaction():
                await collection.insert_one({"_id": 2}, session=session)
                raise ValueError
        except ValueError:
            seen.append(await collection.count_documents({}))
        session.start_transaction()
        seen.append(raised_at_once(session.start_transaction))
        await collection.insert_one({"_id": 3}, session=session)
        await session.abort_transaction()
        seen.append(await raised(session.abort_transaction()))
        session.start_transaction()
        await collection.insert_one({"_id": 4}, session=session)
        await session.commit_transaction()
        seen.append(await raised(session.abort_transaction()))
    seen.append(sorted([d["_id"] async for d in collection.find()]))
    return seen


@program
async def a_coroutine_runs_in_a_transaction(module, collection):
    await collection.insert_one({"_id": 0})
    client = collection.database.client
    calls = []

    async def twice(session):
        calls.append(type(session).__name__)
        await collection.insert_one({"_id": 1}, session=session)
        if len(calls) == 1:
            error = OperationFailure("again")
            error._add_error_label("TransientTransactionError")
            raise error
        return "done"

    async def failing(session):
        await collection.insert_one({"_id": 2}, session=session)
        raise KeyError

    async def aborting(session):
        await session.abort_transaction()
        return "aborted"

    async with await client.start_session() as session:
        return [
            await session.with_transaction(twice),
            calls,
            await raised(session.with_transaction(failing)),
            await session.with_transaction(aborting),
            await session.with_transaction(lambda s: collection.count_documents({}, session=s)),
            await collection.count_documents({}),
        ]


@program
async def change_streams(module, collection):
    await collection.insert_one({"_id": 0})
    stream = collection.watch([{"$match": {"operationType": "insert"}}], max_await_time_ms=100)
    seen = [stream.alive, stream.delegate, raised_at_once(lambda: stream.resume_token)]
    seen += [raised_at_once(stream.__enter__), await stream.try_next(), stream.alive]
    seen.append(stream.delegate is not None and stream.resume_token is not None)
    await collection.insert_one({"_id": 1})
    seen.append((await stream.next())["documentKey"])
    await collection.insert_one({"_id": 2})
    async for change in stream:
        seen.append(change["documentKey"])
        await stream.close()
    seen += [stream.alive, await raised_stop(stream)]
    token = stream.resume_token
    async with collection.database.watch(resume_after=token) as whole:
        await collection.insert_one({"_id": 3})
        seen.append((await whole.next())["documentKey"])
    async with collection.database.client.watch() as cluster:
        await collection.insert_one({"_id": 4})
        seen.append((await cluster.next())["documentKey"])
    unused = collection.watch()
    await unused.close()
    seen += [unused.alive, await raised(collection.watch(5).next())]
    seen.append(await raised(collection.watch([{"$nothing": 1}]).try_next()))
    return seen


test_same_as_motor = program.test()
