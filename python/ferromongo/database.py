"""Where PyMongo has Database."""

from ferromongo.synchronous.database import Database

__all__ = ["Database"]
