"""A MongoDB driver for Python with a Rust engine and PyMongo's API.

    from ferromongo import MongoClient

    with MongoClient("mongodb://localhost:27017") as client:
        client.shop.orders.insert_one({"item": "tea"})

`import ferromongo as pymongo` works for what is covered: value types, constants and exceptions are
PyMongo's own. `version`, `version_tuple` and `get_version_string` say which PyMongo that is, since
programs ask them what they may call; `__version__` is ferromongo's.
"""

from importlib.metadata import version as _installed_version

from pymongo import (
    ASCENDING,
    DESCENDING,
    GEO2D,
    GEOSPHERE,
    HASHED,
    MAX_SUPPORTED_WIRE_VERSION,
    MIN_SUPPORTED_WIRE_VERSION,
    TEXT,
    CursorType,
    DeleteMany,
    DeleteOne,
    IndexModel,
    InsertOne,
    ReadPreference,
    ReplaceOne,
    ReturnDocument,
    UpdateMany,
    UpdateOne,
    WriteConcern,
    get_version_string,
    has_c,
    timeout,
    version,
    version_tuple,
)

from ferromongo import (
    change_stream,
    client_session,
    collection,
    command_cursor,
    cursor,
    database,
    driver_info,
    errors,
    mongo_client,
    monitoring,
    operations,
    read_concern,
    read_preferences,
    results,
    server_api,
    write_concern,
)
from ferromongo._install import install, installed, uninstall
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.synchronous.mongo_client import MongoClient

__version__ = _installed_version("ferromongo")

__all__ = [
    "ASCENDING",
    "DESCENDING",
    "GEO2D",
    "GEOSPHERE",
    "HASHED",
    "MAX_SUPPORTED_WIRE_VERSION",
    "MIN_SUPPORTED_WIRE_VERSION",
    "TEXT",
    "AsyncMongoClient",
    "CursorType",
    "DeleteMany",
    "DeleteOne",
    "IndexModel",
    "InsertOne",
    "MongoClient",
    "ReadPreference",
    "ReplaceOne",
    "ReturnDocument",
    "UpdateMany",
    "UpdateOne",
    "WriteConcern",
    "__version__",
    "change_stream",
    "client_session",
    "collection",
    "command_cursor",
    "cursor",
    "database",
    "driver_info",
    "errors",
    "get_version_string",
    "has_c",
    "install",
    "installed",
    "mongo_client",
    "monitoring",
    "operations",
    "read_concern",
    "read_preferences",
    "results",
    "server_api",
    "timeout",
    "uninstall",
    "version",
    "version_tuple",
    "write_concern",
]
