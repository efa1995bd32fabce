"""A MongoDB driver for Python with a Rust engine and PyMongo's API.

    from ferromongo import MongoClient

    with MongoClient("mongodb://localhost:27017") as client:
        client.shop.orders.insert_one({"item": "tea"})

`import ferromongo as pymongo` works for what is covered: value types, constants and exceptions are
PyMongo's own. `version`, `version_tuple` and `get_version_string` say which PyMongo that is, since
programs ask them what they may call; `__version__` is ferromongo's.

PYTEST_DONT_REWRITE: a program may import ferromongo before pytest, which would warn of that.
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

# Attributes, as in PyMongo, and not part of `from ferromongo import *`.
from ferromongo import auth as auth
from ferromongo import change_stream as change_stream
from ferromongo import client_options as client_options
from ferromongo import client_session as client_session
from ferromongo import collation as collation
from ferromongo import collection as collection
from ferromongo import command_cursor as command_cursor
from ferromongo import common as common
from ferromongo import cursor as cursor
from ferromongo import database as database
from ferromongo import driver_info as driver_info
from ferromongo import errors as errors
from ferromongo import event_loggers as event_loggers
from ferromongo import mongo_client as mongo_client
from ferromongo import monitoring as monitoring
from ferromongo import operations as operations
from ferromongo import pool as pool
from ferromongo import read_concern as read_concern
from ferromongo import read_preferences as read_preferences
from ferromongo import results as results
from ferromongo import server_api as server_api
from ferromongo import server_description as server_description
from ferromongo import server_selectors as server_selectors
from ferromongo import server_type as server_type
from ferromongo import topology_description as topology_description
from ferromongo import typings as typings
from ferromongo import uri_parser as uri_parser
from ferromongo import write_concern as write_concern
from ferromongo._calls.transaction_log import TransactionLog
from ferromongo._install import install, installed, uninstall
from ferromongo._ipython import load_if_it_runs as _load_if_it_runs
from ferromongo._ipython import load_ipython_extension as load_ipython_extension
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.synchronous.mongo_client import MongoClient

__version__ = _installed_version("ferromongo")
_load_if_it_runs()

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
    "TransactionLog",
    "UpdateMany",
    "UpdateOne",
    "WriteConcern",
    "__version__",
    "get_version_string",
    "has_c",
    "install",
    "installed",
    "timeout",
    "uninstall",
    "version",
    "version_tuple",
]
