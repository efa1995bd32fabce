"""Motor's classes without a framework, for annotations and `isinstance`: what `motor.core` has."""

from ferromongo.motor.core.base import AgnosticBase, AgnosticBaseProperties
from ferromongo.motor.core.base_cursor import AgnosticBaseCursor
from ferromongo.motor.core.change_stream import AgnosticChangeStream
from ferromongo.motor.core.client import AgnosticClient
from ferromongo.motor.core.client_session import AgnosticClientSession
from ferromongo.motor.core.collection import AgnosticCollection
from ferromongo.motor.core.command_cursor import (
    AgnosticCommandCursor,
    AgnosticLatentCommandCursor,
    AgnosticRawBatchCommandCursor,
)
from ferromongo.motor.core.cursor import AgnosticCursor, AgnosticRawBatchCursor
from ferromongo.motor.core.database import AgnosticDatabase
from ferromongo.motor.core.encryption import AgnosticClientEncryption

__all__ = [
    "AgnosticBase",
    "AgnosticBaseCursor",
    "AgnosticBaseProperties",
    "AgnosticChangeStream",
    "AgnosticClient",
    "AgnosticClientEncryption",
    "AgnosticClientSession",
    "AgnosticCollection",
    "AgnosticCommandCursor",
    "AgnosticCursor",
    "AgnosticDatabase",
    "AgnosticLatentCommandCursor",
    "AgnosticRawBatchCommandCursor",
    "AgnosticRawBatchCursor",
]
