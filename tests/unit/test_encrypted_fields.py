"""Collections with encrypted fields are refused by name, before anything is sent."""

import pytest
from tests.drivers import both_drivers, ferromongo_only

pytestmark = ferromongo_only

FIELDS = {"fields": [{"path": "secret", "bsonType": "string", "keyId": None}]}


@both_drivers
async def test_refused(driver):
    async with driver.client("mongodb://127.0.0.1:1", connect=False) as client:
        database = client.shop
        for refused in (
            lambda: database.create_collection("c", check_exists=False, encryptedFields=FIELDS),
            lambda: database.drop_collection("c", encrypted_fields=FIELDS),
            lambda: database.c.drop(encrypted_fields=FIELDS),
        ):
            with pytest.raises(NotImplementedError, match=r"encrypted_?[fF]ields"):
                await refused()
