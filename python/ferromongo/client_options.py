"""PyMongo's own `pymongo.client_options`: value types are shared, not copied."""

from pymongo.client_options import *
