"""PyMongo's own `pymongo.monitoring`: listeners and events are shared, not copied."""

from pymongo.monitoring import *
