"""examples/fastapi_orders.py: answers of each kind, orders that meet, and the stream of events."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from tests.server.examples import load, with_database

TEA = {"sku": "tea", "name": "Green tea", "price": 4, "stock": 10}


@pytest.fixture
def example(mongodb_uri, mongodb_database_name, monkeypatch):
    example = load("fastapi_orders.py")
    monkeypatch.setattr(example, "URI", with_database(mongodb_uri, mongodb_database_name))
    return example


@pytest.fixture
async def shop(example):
    transport = httpx.ASGITransport(example.app)
    async with (
        example.lifespan(example.app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as shop,
    ):
        yield shop


async def test_products_are_created_read_changed_and_deleted(shop):
    assert (await shop.post("/products", json=TEA)).status_code == 201
    assert (await shop.get("/products/tea")).json() == TEA
    changed = await shop.patch("/products/tea", json={"price": 5})
    assert (changed.status_code, changed.json()) == (200, {**TEA, "price": 5})
    assert (await shop.patch("/products/tea", json={})).json() == {**TEA, "price": 5}
    assert (await shop.delete("/products/tea")).status_code == 204
    assert (await shop.get("/products/tea")).status_code == 404


async def test_a_second_product_of_that_sku_is_a_conflict(shop):
    await shop.post("/products", json=TEA)
    refused = await shop.post("/products", json={**TEA, "name": "Black tea"})
    assert refused.status_code == 409
    assert refused.json() == {"detail": "There is one already: {'sku': 'tea'}"}
    assert (await shop.get("/products/tea")).json() == TEA


async def test_what_is_not_there_is_not_found(shop):
    absent = [
        await shop.get("/products/tea"),
        await shop.patch("/products/tea", json={"price": 5}),
        await shop.delete("/products/tea"),
        await shop.post("/orders", json={"sku": "tea", "quantity": 1}),
        await shop.get(f"/orders/{'0' * 24}"),
    ]
    assert [answer.status_code for answer in absent] == [404] * 5
    assert absent[0].json() == {"detail": "There is no product 'tea'"}


async def test_malformed_requests_are_refused(shop):
    refused = [
        await shop.post("/products", json={**TEA, "price": -1}),
        await shop.post("/products", json={**TEA, "sku": ""}),
        await shop.post("/orders", json={"sku": "tea", "quantity": 0}),
        await shop.get("/orders/tea"),
        await shop.get("/products?limit=1000"),
    ]
    assert [answer.status_code for answer in refused] == [422] * 5


async def test_products_are_listed_in_pages(shop):
    for sku in ("e", "b", "d", "a", "c"):
        await shop.post("/products", json={**TEA, "sku": sku})
    pages, after = [], ""
    while after is not None:
        page = (await shop.get("/products", params={"after": after, "limit": 2})).json()
        pages.append([product["sku"] for product in page["items"]])
        after = page["next"]
    assert pages == [["a", "b"], ["c", "d"], ["e"]]
    # The last page may be full.
    page = (await shop.get("/products?limit=5")).json()
    assert (len(page["items"]), page["next"]) == (5, None)


async def test_an_order_takes_the_goods_from_the_stock(shop):
    await shop.post("/products", json=TEA)
    placed = await shop.post("/orders", json={"sku": "tea", "quantity": 3})
    assert placed.status_code == 201
    order = placed.json()
    assert (order["sku"], order["quantity"], order["price"]) == ("tea", 3, 12)
    assert (await shop.get(f"/orders/{order['id']}")).json()["price"] == 12
    assert (await shop.get("/products/tea")).json()["stock"] == 7


async def test_orders_at_the_same_time_take_no_more_than_there_is(shop, example):
    await shop.post("/products", json=TEA)
    order = {"sku": "tea", "quantity": 3}
    placed = await asyncio.gather(*(shop.post("/orders", json=order) for _ in range(5)))
    assert sorted(answer.status_code for answer in placed) == [201, 201, 201, 409, 409]
    refused = {answer.text for answer in placed if answer.status_code == 409}
    assert refused == {'{"detail":"Only 1 of \'tea\' are left"}'}
    assert (await shop.get("/products/tea")).json()["stock"] == 1
    assert await example.app.state.database.orders.count_documents({}) == 3


# httpx's ASGITransport hands over a response when it has ended, so events need a server.
@asynccontextmanager
async def served(app):
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        host, port = listener.getsockname()
        try:
            # Until the server accepts, connections wait in the listener.
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60) as shop:
                yield shop
        finally:
            # It waits until the event streams have ended.
            server.should_exit = True
            await serving


@asynccontextmanager
async def events(shop, **headers):
    """The events as (id, order), once the change stream is open."""
    async with shop.stream("GET", "/orders/events", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield _read(response.aiter_lines())


async def _read(lines):
    fields = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        fields[name] = value
        if line == "" and "id" in fields:
            yield fields["id"], json.loads(fields["data"])
            fields = {}


async def test_orders_are_streamed_and_resumed(example):
    async with served(example.app) as shop:
        await shop.post("/products", json=TEA)
        async with events(shop) as received:
            placed = [
                (await shop.post("/orders", json={"sku": "tea", "quantity": quantity})).json()
                for quantity in (1, 2)
            ]
            first, order = await anext(received)
            assert order == placed[0]
            assert (await anext(received))[1] == placed[1]
        async with events(shop, **{"Last-Event-ID": first}) as received:
            assert (await anext(received))[1] == placed[1]
        old = first[:2] + "00000001" + first[10:]  # the time is the first part of a token
        for last, code in ((old, 410), ("tea", 422)):
            refused = await shop.get("/orders/events", headers={"Last-Event-ID": last})
            assert refused.status_code == code


async def test_a_client_that_goes_away_closes_its_change_stream(
    example, async_client, mongodb_database_name
):
    async def is_open():
        pipeline = [
            {"$currentOp": {"idleCursors": True}},
            {"$match": {"ns": f"{mongodb_database_name}.orders", "cursor": {"$exists": True}}},
        ]
        return bool(await (await async_client.admin.aggregate(pipeline)).to_list())

    async with served(example.app) as shop:
        async with events(shop):
            while not await is_open():
                await asyncio.sleep(0.05)
        while await is_open():
            await asyncio.sleep(0.05)
