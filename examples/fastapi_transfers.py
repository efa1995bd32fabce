"""Accounts with a transaction per request: FastAPI and ferromongo.middleware.

    pip install fastapi uvicorn
    export MONGODB_URI=mongodb://localhost:27017  # a replica set, as there are transactions
    uvicorn --app-dir examples fastapi_transfers:app

    curl -X POST 'localhost:8000/accounts/ann?balance=100'
    curl -X POST 'localhost:8000/accounts/bob?balance=0'
    curl -X POST 'localhost:8000/transfers?source=ann&target=bob&amount=70'
    curl localhost:8000/statement

`python -m ferromongo.embedded` starts a server and prints its URI. litestar_transfers.py and
flask_transfers.py are the same in Litestar and Flask.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import StreamingResponse

from ferromongo import AsyncMongoClient, ReturnDocument
from ferromongo.middleware.asgi import AtomicRequestsMiddleware, non_atomic_requests
from ferromongo.transaction import atomic, on_commit

Document = dict[str, Any]
Amount = Annotated[int, Query(ge=0)]

client: AsyncMongoClient[Document] = AsyncMongoClient(
    os.environ.get("MONGODB_URI", "mongodb://localhost:27017")
)
database = client.get_default_database("shop")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with client:
        yield


app = FastAPI(title="Accounts", lifespan=lifespan)
app.add_middleware(AtomicRequestsMiddleware, client=client)


@app.post("/accounts/{name}", status_code=201)
async def open_account(name: str, balance: Amount = 0) -> None:
    """The account and its entry in the journal are written together or not at all."""
    await database.journal.insert_one({"opened": name, "balance": balance})
    if await database.accounts.count_documents({"_id": name}, limit=1):
        raise HTTPException(409, f"{name} has an account")  # the entry is rolled back
    await database.accounts.insert_one({"_id": name, "balance": balance})


@app.post("/transfers", status_code=201)
@non_atomic_requests
@atomic(client)
async def transfer(source: str, target: str, amount: Amount) -> None:
    """A transaction of its own, which is run again if another one changed the same account."""
    for name, change in ((source, -amount), (target, amount)):
        account = await database.accounts.find_one_and_update(
            {"_id": name}, {"$inc": {"balance": change}}, return_document=ReturnDocument.AFTER
        )
        if account is None:
            raise HTTPException(404, f"{name} has no account")
        if account["balance"] < 0:
            raise HTTPException(409, f"{name} has not enough money")
    entry = {"source": source, "target": target, "amount": amount}
    await database.journal.insert_one(entry)

    async def write_receipt() -> None:
        await database.receipts.insert_one({"_id": entry["_id"]})

    on_commit(write_receipt)


@app.get("/statement")
async def read_statement() -> StreamingResponse:
    """What is streamed is read after the transaction of the request."""

    async def lines() -> AsyncIterator[str]:
        async for account in database.accounts.find(sort={"_id": 1}):
            yield f"{account['_id']} {account['balance']}\n"

    return StreamingResponse(lines(), media_type="text/plain")
