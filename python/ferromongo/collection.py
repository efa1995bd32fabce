"""Where PyMongo has Collection and ReturnDocument."""

from pymongo.collection import ReturnDocument

from ferromongo.synchronous.collection import Collection

__all__ = ["Collection", "ReturnDocument"]
