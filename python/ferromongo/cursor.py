"""Where PyMongo has Cursor, RawBatchCursor and CursorType."""

from pymongo.cursor import CursorType

from ferromongo.synchronous.cursor import Cursor, RawBatchCursor

__all__ = ["Cursor", "CursorType", "RawBatchCursor"]
