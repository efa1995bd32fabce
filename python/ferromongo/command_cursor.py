"""Where PyMongo has CommandCursor."""

from ferromongo.synchronous.command_cursor import CommandCursor

__all__ = ["CommandCursor"]
