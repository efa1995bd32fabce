"""What the tests of `atomic` share."""

from pymongo.errors import OperationFailure
from tests.drivers import Awaitable, package

if package.__name__ == "ferromongo":
    from ferromongo.transaction import atomic, outside_transaction


def plain(client):
    return client._target if isinstance(client, Awaitable) else client


def block(client, **options):
    """`atomic(client)` in the grammar of the driver."""
    made = atomic(plain(client), **options)
    return Awaitable(made) if isinstance(client, Awaitable) else made


def outside(client):
    return outside_transaction(plain(client))


def transient(text="again"):
    error = OperationFailure(text, 112, {"errorLabels": ["TransientTransactionError"]})
    assert error.has_error_label("TransientTransactionError")
    return error


async def ids(collection):
    return sorted([document["_id"] async for document in collection.find({}, {"_id": 1})])


async def nothing():
    pass
