"""PyMongo's own `pymongo.server_api`: value types are shared, not copied."""

from pymongo.server_api import *
