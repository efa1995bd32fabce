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


@pytest.fixture(scope="session")
def django_settings():
    """Django's, of this process; no other test uses Django in it."""
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        FERROMONGO_CLIENT="tests.server.middleware.django_views.client",
        LOGGING_CONFIG=None,
        ROOT_URLCONF="tests.server.middleware.django_views",
        SECRET_KEY="of tests only",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )
    django.setup()
    return settings
