"""Accounts with a transaction per request: Litestar and ferromongo.middleware.

    pip install litestar uvicorn
    export MONGODB_URI=mongodb://localhost:27017  # a replica set, as there are transactions
    uvicorn --app-dir examples litestar_transfers:app

fastapi_transfers.py has the requests to try, and the same views.
"""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Litestar, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.middleware import DefineMiddleware
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from ferromongo import AsyncMongoClient, ReturnDocument
from ferromongo.middleware.asgi import AtomicRequestsMiddleware, non_atomic_requests
from ferromongo.transaction import atomic, on_commit

Document = dict[str, Any]
Amount = Annotated[int, QueryParameter(ge=0)]

client: AsyncMongoClient[Document] = AsyncMongoClient(
    os.environ.get("MONGODB_URI", "mongodb://localhost:27017")
)
database = client.get_default_database("shop")


class Conflict(ClientException):
    status_code = 409


@post("/accounts/{name:str}")
async def open_account(name: FromPath[str], balance: Amount = 0) -> None:
    """The account and its entry in the journal are written together or not at all."""
    await database.journal.insert_one({"opened": name, "balance": balance})
    if await database.accounts.count_documents({"_id": name}, limit=1):
        raise Conflict(f"{name} has an account")  # the entry is rolled back
    await database.accounts.insert_one({"_id": name, "balance": balance})


@post("/transfers")
@non_atomic_requests
@atomic(client)
async def transfer(source: FromQuery[str], target: FromQuery[str], amount: Amount) -> None:
    """A transaction of its own, which is run again if another one changed the same account."""
    for name, change in ((source, -amount), (target, amount)):
        account = await database.accounts.find_one_and_update(
            {"_id": name}, {"$inc": {"balance": change}}, return_document=ReturnDocument.AFTER
        )
        if account is None:
            raise NotFoundException(f"{name} has no account")
        if account["balance"] < 0:
            raise Conflict(f"{name} has not enough money")
    entry = {"source": source, "target": target, "amount": amount}
    await database.journal.insert_one(entry)

    async def write_receipt() -> None:
        await database.receipts.insert_one({"_id": entry["_id"]})

    on_commit(write_receipt)


@get("/statement")
async def read_statement() -> Stream:
    """What is streamed is read after the transaction of the request."""

    async def lines() -> AsyncIterator[str]:
        async for account in database.accounts.find(sort={"_id": 1}):
            yield f"{account['_id']} {account['balance']}\n"

    return Stream(lines(), media_type="text/plain")


app = Litestar(
    [open_account, transfer, read_statement],
    middleware=[DefineMiddleware(AtomicRequestsMiddleware, client=client)],
    on_shutdown=[client.close],
)
