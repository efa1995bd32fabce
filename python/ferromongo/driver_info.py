"""PyMongo's own `pymongo.driver_info`: value types are shared, not copied."""

from pymongo.driver_info import *
