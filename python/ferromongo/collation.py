"""PyMongo's own `pymongo.collation`: value types are shared, not copied."""

from pymongo.collation import *
