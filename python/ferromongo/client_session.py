"""Where PyMongo has ClientSession and its options."""

from pymongo.client_session_shared import SessionOptions, TransactionOptions

from ferromongo.synchronous.client_session import ClientSession

__all__ = ["ClientSession", "SessionOptions", "TransactionOptions"]
