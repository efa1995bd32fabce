"""PyMongo's own `pymongo.server_description`: value types are shared, not copied."""

from pymongo.server_description import *
