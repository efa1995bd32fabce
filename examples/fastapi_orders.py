"""A shop as a web service: FastAPI, pydantic and ferromongo's asyncio API.

    pip install fastapi uvicorn
    export MONGODB_URI=mongodb://localhost:27017  # a replica set, as there are transactions
    uvicorn --app-dir examples fastapi_orders:app

    curl -X POST localhost:8000/products -H 'Content-Type: application/json' \
         -d '{"sku": "tea", "name": "Green tea", "price": 4, "stock": 10}'
    curl -N localhost:8000/orders/events &
    curl -X POST localhost:8000/orders -H 'Content-Type: application/json' \
         -d '{"sku": "tea", "quantity": 2}'

`python -m ferromongo.embedded` starts a server and prints its URI. The API is described at
http://localhost:8000/docs. With event streams open, uvicorn ends once they are closed; the option
`--timeout-graceful-shutdown 3` limits how long it waits.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from bson import ObjectId
from fastapi import Depends, FastAPI, Header, HTTPException, Path, Query, Request, status
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, BeforeValidator, Field

from ferromongo import AsyncMongoClient, ReturnDocument
from ferromongo.asynchronous.change_stream import AsyncChangeStream
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.errors import DuplicateKeyError, OperationFailure

URI = os.environ.get("MONGODB_URI", "mongodb://localhost:27017")

Document = dict[str, Any]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the whole application: it has a pool of connections."""
    async with AsyncMongoClient[Document](URI) as client:
        app.state.database = client.get_default_database("shop")
        await app.state.database.products.create_index("sku", unique=True)
        yield


app = FastAPI(title="Shop", lifespan=lifespan)


def get_database(request: Request) -> AsyncDatabase[Document]:
    database: AsyncDatabase[Document] = request.app.state.database
    return database


Database = Annotated[AsyncDatabase[Document], Depends(get_database)]


@app.exception_handler(DuplicateKeyError)
async def answer_conflict(request: Request, error: DuplicateKeyError) -> JSONResponse:
    key = (error.details or {}).get("keyValue")
    return JSONResponse({"detail": f"There is one already: {key}"}, status.HTTP_409_CONFLICT)


class ProductChange(BaseModel):
    name: str | None = None
    price: Annotated[int | None, Field(ge=0)] = None
    stock: Annotated[int | None, Field(ge=0)] = None


class Product(BaseModel):
    sku: Annotated[str, Field(min_length=1)]
    name: str
    price: Annotated[int, Field(ge=0)]
    stock: Annotated[int, Field(ge=0)] = 0


class ProductPage(BaseModel):
    items: list[Product]
    next: str | None  # pass it as `after` to get the next page


@app.post("/products", status_code=status.HTTP_201_CREATED)
async def create_product(product: Product, database: Database) -> Product:
    await database.products.insert_one(product.model_dump())
    return product


@app.get("/products")
async def list_products(
    database: Database, after: str = "", limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> ProductPage:
    """Pages by key. The index finds the first product of a page, however far it is; `skip` would
    read all that come before."""
    found = database.products.find({"sku": {"$gt": after}}, sort={"sku": 1}, limit=limit + 1)
    items = [Product(**document) async for document in found]
    more = len(items) > limit
    return ProductPage(items=items[:limit], next=items[limit - 1].sku if more else None)


@app.get("/products/{sku}")
async def read_product(sku: str, database: Database) -> Product:
    return as_product(sku, await database.products.find_one({"sku": sku}))


@app.patch("/products/{sku}")
async def change_product(sku: str, change: ProductChange, database: Database) -> Product:
    changed = change.model_dump(exclude_none=True)
    if not changed:
        return await read_product(sku, database)
    document = await database.products.find_one_and_update(
        {"sku": sku}, {"$set": changed}, return_document=ReturnDocument.AFTER
    )
    return as_product(sku, document)


@app.delete("/products/{sku}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_product(sku: str, database: Database) -> None:
    as_product(sku, await database.products.find_one_and_delete({"sku": sku}))


def as_product(sku: str, document: Document | None) -> Product:
    if document is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no product {sku!r}")
    return Product(**document)


class NewOrder(BaseModel):
    sku: str
    quantity: Annotated[int, Field(ge=1)]


class Order(NewOrder):
    id: Annotated[str, BeforeValidator(str), Field(validation_alias="_id")]
    price: int


@app.post("/orders", status_code=status.HTTP_201_CREATED)
async def place_order(new: NewOrder, database: Database) -> Order:
    """Take the goods from the stock and record the order: both or neither.

    `with_transaction` runs `place` again when another request changed the same product meanwhile.
    """

    async def place(session: AsyncClientSession) -> Document:
        product = await database.products.find_one_and_update(
            {"sku": new.sku, "stock": {"$gte": new.quantity}},
            {"$inc": {"stock": -new.quantity}},
            session=session,
        )
        if product is None:
            # An exception that leaves `place` aborts the transaction.
            found = await database.products.find_one({"sku": new.sku}, session=session)
            left = as_product(new.sku, found).stock
            raise HTTPException(status.HTTP_409_CONFLICT, f"Only {left} of {new.sku!r} are left")
        price = product["price"] * new.quantity
        order = {**new.model_dump(), "price": price}
        await database.orders.insert_one(order, session=session)
        return order

    async with database.client.start_session() as session:
        return Order(**await session.with_transaction(place))


async def open_events(
    database: Database, last_event_id: Annotated[str | None, Header(pattern="^[0-9A-F]+$")] = None
) -> AsyncIterator[AsyncChangeStream[Document]]:
    """A change stream that is open when the response begins, and closed when the client goes away.

    A browser that connects again sends the last id that it received, and continues behind it.
    """
    token = {"_data": last_event_id} if last_event_id else None
    inserts = [{"$match": {"operationType": "insert"}}]
    try:
        events = await database.orders.watch(inserts, resume_after=token)
    except OperationFailure as error:
        if not error.has_error_label("NonResumableChangeStreamError"):
            raise
        raise HTTPException(status.HTTP_410_GONE, "No events are left from then") from error
    async with events:
        yield events


Events = Annotated[AsyncChangeStream[Document], Depends(open_events)]


@app.get("/orders/events", response_class=EventSourceResponse)
async def stream_orders(events: Events) -> AsyncIterator[ServerSentEvent]:
    """Each new order as a server-sent event, from now on."""
    async for event in events:
        order = Order(**event["fullDocument"])
        yield ServerSentEvent(event="order", id=event["_id"]["_data"], data=order)


@app.get("/orders/{order_id}")
async def read_order(
    order_id: Annotated[str, Path(pattern="^[0-9a-f]{24}$")], database: Database
) -> Order:
    document = await database.orders.find_one({"_id": ObjectId(order_id)})
    if document is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no order {order_id}")
    return Order(**document)
