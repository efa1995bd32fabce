"""Accounts with a transaction per request: Flask and ferromongo.middleware.

    pip install flask
    export MONGODB_URI=mongodb://localhost:27017  # a replica set, as there are transactions
    flask --app examples/flask_transfers.py run --port 8000

fastapi_transfers.py has the requests to try, and the same views.
"""

import os
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, abort, request

from ferromongo import MongoClient, ReturnDocument
from ferromongo.middleware.flask import atomic_requests, non_atomic_requests
from ferromongo.transaction import atomic, on_commit

Document = dict[str, Any]

client: MongoClient[Document] = MongoClient(
    os.environ.get("MONGODB_URI", "mongodb://localhost:27017")
)
database = client.get_default_database("shop")

app = Flask(__name__)
atomic_requests(app, client)


@app.post("/accounts/<name>")
def open_account(name: str) -> tuple[str, int]:
    """The account and its entry in the journal are written together or not at all."""
    balance = as_amount("balance", "0")
    database.journal.insert_one({"opened": name, "balance": balance})
    if database.accounts.count_documents({"_id": name}, limit=1):
        abort(409, f"{name} has an account")  # the entry is rolled back
    database.accounts.insert_one({"_id": name, "balance": balance})
    return "", 201


@app.post("/transfers")
@non_atomic_requests
@atomic(client)
def transfer() -> tuple[str, int]:
    """A transaction of its own, which is run again if another one changed the same account."""
    source, target, amount = request.args["source"], request.args["target"], as_amount("amount")
    for name, change in ((source, -amount), (target, amount)):
        account = database.accounts.find_one_and_update(
            {"_id": name}, {"$inc": {"balance": change}}, return_document=ReturnDocument.AFTER
        )
        if account is None:
            abort(404, f"{name} has no account")
        if account["balance"] < 0:
            abort(409, f"{name} has not enough money")
    entry = {"source": source, "target": target, "amount": amount}
    database.journal.insert_one(entry)
    on_commit(lambda: database.receipts.insert_one({"_id": entry["_id"]}))
    return "", 201


@app.get("/statement")
def read_statement() -> Response:
    """What is streamed is read after the transaction of the request."""

    def lines() -> Iterator[str]:
        for account in database.accounts.find(sort={"_id": 1}):
            yield f"{account['_id']} {account['balance']}\n"

    return Response(lines(), mimetype="text/plain")


def as_amount(name: str, default: str = "") -> int:
    text = request.args.get(name, default)
    if not text.isdecimal():
        abort(400, f"{name} must be a number from 0 on")
    return int(text)
