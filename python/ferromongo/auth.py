"""Where PyMongo has the names of the authentication mechanisms."""

from pymongo.auth import MECHANISMS

__all__ = ["MECHANISMS"]
