"""PyMongo's own `pymongo.server_selectors`: functions are shared, not copied."""

from pymongo.server_selectors import *
