"""Where PyMongo has MongoClient."""

from ferromongo.synchronous.mongo_client import MongoClient

__all__ = ["MongoClient"]
