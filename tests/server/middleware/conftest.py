"""Fixtures of the tests of `ferromongo.middleware`."""

import pytest
from tests.listeners import Recorder

import ferromongo


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
async def app_client(mongodb_uri, recorder):
    """The client of an ASGI application; `async_client` is another one, which looks on."""
    listeners = [recorder]
    async with ferromongo.AsyncMongoClient(mongodb_uri, event_listeners=listeners) as client:
        yield client


@pytest.fixture
def sync_app_client(mongodb_uri, recorder):
    """The client of a WSGI application; `client` is another one, which looks on."""
    with ferromongo.MongoClient(mongodb_uri, event_listeners=[recorder]) as client:
        yield client


@pytest.fixture
def seen(database):
    """What everybody sees in the collection `c`: the ids there."""
    return lambda: sorted(document["_id"] for document in database.c.find({}, {"_id": 1}))
