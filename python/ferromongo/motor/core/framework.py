"""What Motor's two APIs, for asyncio and for Tornado, differ in: event loops and classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import AbstractEventLoop
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferromongo.motor.core.change_stream import AgnosticChangeStream
    from ferromongo.motor.core.client import AgnosticClient
    from ferromongo.motor.core.client_session import AgnosticClientSession
    from ferromongo.motor.core.collection import AgnosticCollection
    from ferromongo.motor.core.command_cursor import (
        AgnosticCommandCursor,
        AgnosticLatentCommandCursor,
    )
    from ferromongo.motor.core.cursor import AgnosticCursor, AgnosticRawBatchCursor
    from ferromongo.motor.core.database import AgnosticDatabase
    from ferromongo.motor.motor_gridfs.grid_in import AgnosticGridIn
    from ferromongo.motor.motor_gridfs.grid_out import AgnosticGridOut
    from ferromongo.motor.motor_gridfs.grid_out_cursor import AgnosticGridOutCursor


class Framework(ABC):
    """One of the two. Its module names the classes when it has defined them."""

    client: type[AgnosticClient[Any]]
    client_session: type[AgnosticClientSession]
    database: type[AgnosticDatabase[Any]]
    collection: type[AgnosticCollection[Any]]
    cursor: type[AgnosticCursor[Any]]
    raw_batch_cursor: type[AgnosticRawBatchCursor[Any]]
    command_cursor: type[AgnosticCommandCursor[Any]]
    latent_command_cursor: type[AgnosticLatentCommandCursor[Any]]
    change_stream: type[AgnosticChangeStream[Any]]
    grid_in: type[AgnosticGridIn]
    grid_out: type[AgnosticGridOut]
    grid_out_cursor: type[AgnosticGridOutCursor]

    platform: str
    """Told to the server in the handshake."""

    @abstractmethod
    def event_loop(self) -> Any:
        """The current loop, as the framework has it: what `get_io_loop` returns."""

    @abstractmethod
    def check_event_loop(self, loop: Any) -> None:
        """Raise TypeError unless `loop` is one of the framework's."""

    @abstractmethod
    def asyncio_loop(self, loop: Any) -> AbstractEventLoop:
        """The asyncio loop that it is or runs on."""
