"""PyMongo's own `pymongo.event_loggers`: listeners are shared, not copied."""

from pymongo.event_loggers import *
