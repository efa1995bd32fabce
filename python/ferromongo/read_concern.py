"""PyMongo's own `pymongo.read_concern`: value types are shared, not copied."""

from pymongo.read_concern import *
