"""examples/*_transfers.py: a transaction per request in FastAPI, Litestar and Flask."""

import asyncio
import concurrent.futures
import inspect

import httpx
import pytest
from tests.server.examples import load, with_database


@pytest.fixture(params=["fastapi", "litestar", "flask"])
def example(request, mongodb_uri, mongodb_database_name, monkeypatch):
    monkeypatch.setenv("MONGODB_URI", with_database(mongodb_uri, mongodb_database_name))
    example = load(f"{request.param}_transfers.py")
    yield example
    closed = example.client.close()
    if inspect.isawaitable(closed):
        asyncio.run(_awaited(closed))


async def _awaited(awaitable):
    return await awaitable


@pytest.fixture
def post(example):
    """The statuses of requests, which are made at the same time."""

    def of_flask(path):
        transport = httpx.WSGITransport(example.app)
        with httpx.Client(transport=transport, base_url="http://shop") as shop:
            return shop.post(path).status_code

    async def of_asgi(paths):
        transport = httpx.ASGITransport(example.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as shop:
            answers = await asyncio.gather(*(shop.post(path) for path in paths))
            return [answer.status_code for answer in answers]

    def post(*paths):
        if not hasattr(example.app, "wsgi_app"):
            return asyncio.run(of_asgi(paths))
        with concurrent.futures.ThreadPoolExecutor(len(paths)) as threads:
            return list(threads.map(of_flask, paths))

    return post


def transfer(source, target, amount):
    return f"/transfers?source={source}&target={target}&amount={amount}"


def test_an_account_and_its_entry_are_written_together(post, database):
    assert post("/accounts/ann?balance=100") == [201]
    assert post("/accounts/ann?balance=7") == [409]
    assert database.accounts.find_one() == {"_id": "ann", "balance": 100}
    assert database.journal.count_documents({}) == 1
    assert post("/accounts/bob?balance=-1")[0] in (400, 422)


def test_a_transfer_is_done_or_not(post, database):
    post("/accounts/ann?balance=100")
    post("/accounts/bob")
    assert post(transfer("ann", "bob", 70)) == [201]
    assert post(transfer("ann", "bob", 70)) == [409]
    assert post(transfer("ann", "nobody", 30)) == [404]
    assert {account["_id"]: account["balance"] for account in database.accounts.find()} == {
        "ann": 30,
        "bob": 70,
    }
    assert database.receipts.distinct("_id") == database.journal.distinct("_id", {"amount": 70})


def test_transfers_at_the_same_time(post, database):
    """Each is run again until it does not meet another one; none is lost or done twice."""
    post("/accounts/ann?balance=100")
    post("/accounts/bob?balance=100")
    paths = [transfer("ann", "bob", 30), transfer("bob", "ann", 10)] * 4
    statuses = post(*paths)
    assert set(statuses) <= {201, 409}
    done = [path for path, status in zip(paths, statuses, strict=True) if status == 201]
    moved = 30 * done.count(paths[0]) - 10 * done.count(paths[1])
    balances = {account["_id"]: account["balance"] for account in database.accounts.find()}
    assert balances == {"ann": 100 - moved, "bob": 100 + moved}
    assert database.receipts.count_documents({}) == len(done)


def test_the_statement_is_streamed(example, post):
    post("/accounts/bob?balance=5")
    post("/accounts/ann?balance=100")

    async def of_asgi():
        transport = httpx.ASGITransport(example.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as shop:
            return await shop.get("/statement")

    if hasattr(example.app, "wsgi_app"):
        text = example.app.test_client().get("/statement").text
    else:
        text = asyncio.run(of_asgi()).text
    assert text == "ann 100\nbob 5\n"
