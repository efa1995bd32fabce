"""pydantic: models with fields of PyMongo's types, which it checks by isinstance."""

import sys
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pymongo import AsyncMongoClient, MongoClient
from pymongo.collection import Collection
from pymongo.database import Database


def main(uri: str) -> None:
    # Made here: what a model checks stays as it was when the model was made.
    class Settings(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        client: MongoClient[dict[str, Any]]
        database: Database[dict[str, Any]]
        orders: Collection[dict[str, Any]]

    with MongoClient(uri) as client:
        settings = Settings(client=client, database=client.pydantic, orders=client.pydantic.orders)
        print(settings.client is client, settings.orders.insert_one({"_id": 1}).inserted_id)
        assert settings.database.orders.find_one() == {"_id": 1}
        try:
            Settings(client=AsyncMongoClient(uri), database=client, orders=client.pydantic.orders)
        except ValidationError as error:
            print([(mistake["loc"], mistake["type"]) for mistake in error.errors()])


if __name__ == "__main__":
    main(sys.argv[1])
