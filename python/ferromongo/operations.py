"""PyMongo's own `pymongo.operations`: value types are shared, not copied."""

from pymongo.operations import *
