"""PyMongo's own `pymongo.server_type`: value types are shared, not copied."""

from pymongo.server_type import *
