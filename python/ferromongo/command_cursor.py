"""Where PyMongo has CommandCursor and RawBatchCommandCursor."""

from ferromongo.synchronous.command_cursor import CommandCursor, RawBatchCommandCursor

__all__ = ["CommandCursor", "RawBatchCommandCursor"]
