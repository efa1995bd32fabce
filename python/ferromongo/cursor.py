"""Where PyMongo has Cursor and CursorType."""

from pymongo.cursor import CursorType

from ferromongo.synchronous.cursor import Cursor

__all__ = ["Cursor", "CursorType"]
