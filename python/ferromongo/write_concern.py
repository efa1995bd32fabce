"""PyMongo's own `pymongo.write_concern`: value types are shared, not copied."""

from pymongo.write_concern import *
