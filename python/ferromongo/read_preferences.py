"""PyMongo's own `pymongo.read_preferences`: value types are shared, not copied."""

from pymongo.read_preferences import *
