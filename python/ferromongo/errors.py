"""PyMongo's own `pymongo.errors`: value types are shared, not copied."""

from pymongo.errors import *
