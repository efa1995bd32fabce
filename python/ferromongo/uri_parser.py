"""PyMongo's own `pymongo.uri_parser`: parsers are shared, not copied."""

from pymongo.uri_parser import *
