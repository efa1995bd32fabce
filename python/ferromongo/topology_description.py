"""PyMongo's own `pymongo.topology_description`: value types are shared, not copied."""

from pymongo.topology_description import *
