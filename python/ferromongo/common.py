"""PyMongo's own `pymongo.common`: limits, defaults and validators are shared, not copied."""

from pymongo.common import *
