"""Fixtures of the tests of `atomic`."""

import pytest
from tests.drivers import package
from tests.server.atomic.blocks import ids

if package.__name__ == "ferromongo":
    from ferromongo.transaction import current_attempt


@pytest.fixture
def use(driver, mongodb_uri, mongodb_database_name):
    """Runs `body(client, collection)`, where the document 0 is, then checks what is left there."""

    def use(body, left=None, **options):
        async def run():
            async with driver.client(mongodb_uri, **options) as client:
                collection = client[mongodb_database_name].c
                await collection.insert_one({"_id": 0, "n": 0})
                await body(client, collection)
                if left is not None:
                    assert await ids(collection) == left
                # Nothing is left of any scope.
                assert current_attempt() == 0
                await collection.update_one({"_id": 0}, {"$inc": {"end": 1}})

        driver.run(run())

    return use
