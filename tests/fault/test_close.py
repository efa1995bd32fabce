"""A client closed while operations run: they end with an error of PyMongo's, and none hangs."""

import inspect

import pytest
from pymongo.errors import ConnectionFailure, InvalidOperation
from tests.drivers import both_drivers, eventually


@both_drivers
async def test_close_under_load(driver, proxy, mongodb_database_name):
    client = driver.client(proxy.uri())
    collection = client[mongodb_database_name].c
    await collection.insert_many([{"_id": n} for n in range(10)])
    done = []

    async def work():
        while True:
            assert len([d async for d in collection.find(batch_size=3)]) == 10
            done.append(1)

    workers = [driver.start(work) for _ in range(8)]
    await eventually(driver, lambda: len(done) > 20)
    await client.close()
    for worker in workers:
        with pytest.raises((InvalidOperation, ConnectionFailure)):
            await worker.result(timeout=20)
    with pytest.raises(InvalidOperation):
        await collection.find_one()
    await eventually(driver, lambda: not proxy.open_links)


@both_drivers
async def test_close_while_waiting_for_a_server(driver, proxy):
    proxy.freeze()
    client = driver.client(proxy.uri(connectTimeoutMS=2000, serverSelectionTimeoutMS=20000))

    async def ping():
        await client.admin.command("ping")

    waiting = driver.start(ping)
    await driver.sleep(0.3)
    await client.close()
    with pytest.raises((InvalidOperation, ConnectionFailure)):
        await waiting.result(timeout=25)


@both_drivers
async def test_a_closed_client_has_no_servers(driver, mongodb_uri):
    client = driver.client(mongodb_uri)
    await client.admin.command("ping")
    assert client.nodes
    assert await value(client.primary) in client.nodes
    await client.close()
    assert client.nodes == frozenset()
    assert await value(client.primary) is None
    assert await value(client.secondaries) == await value(client.arbiters) == set()
    described = client.topology_description
    assert described.topology_type_name == "ReplicaSetNoPrimary"
    assert described.server_descriptions()
    assert not described.known_servers


async def value(property):
    """The asynchronous client's are awaited."""
    return await property if inspect.isawaitable(property) else property


@both_drivers
async def test_an_error_after_close_names_the_class_of_the_client(driver, mongodb_uri):
    name = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = driver.client(mongodb_uri)
    collection = client.d.c
    await collection.find_one()
    await client.close()
    for call in (
        lambda: client.admin.command("ping"),
        lambda: collection.insert_one({}),
        lambda: collection.find().to_list(),
        lambda: collection.watch(),
    ):
        with pytest.raises(InvalidOperation, match=f"^Cannot use {name} after close$"):
            await call()


@both_drivers
async def test_close_twice_and_unused(driver, mongodb_uri):
    client = driver.client(mongodb_uri, connect=False)
    await client.close()
    await client.close()
    with pytest.raises(InvalidOperation):
        await client.admin.command("ping")


@both_drivers
async def test_many_threads_close_one_client(driver, proxy):
    client = driver.client(proxy.uri())
    await client.admin.command("ping")

    async def close():
        await client.close()

    for closing in [driver.start(close) for _ in range(10)]:
        await closing.result(timeout=20)
    await eventually(driver, lambda: not proxy.open_links)


@both_drivers
async def test_a_session_of_a_closed_client_refuses_only_commands(driver, mongodb_uri):
    client = driver.client(mongodb_uri, connect=False)
    await client.close()
    async with client.start_session() as session:
        assert session.session_id["id"]
        with pytest.raises(InvalidOperation):
            await client.admin.command("ping", session=session)
