"""PyMongo's own `pymongo.results`: value types are shared, not copied."""

from pymongo.results import *
