"""Motor's classes for asyncio: a program that uses them changes its import.

    from ferromongo.motor_asyncio import AsyncIOMotorClient

    client = AsyncIOMotorClient("mongodb://localhost:27017")
    await client.shop.orders.insert_one({"item": "tea"})

`docs/moving_from_motor.md` has what differs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic

from ferromongo.motor import core, motor_gridfs
from ferromongo.motor.core.framework import Framework
from ferromongo.typings import DocumentType

__all__ = [
    "AsyncIOMotorChangeStream",
    "AsyncIOMotorClient",
    "AsyncIOMotorClientEncryption",
    "AsyncIOMotorClientSession",
    "AsyncIOMotorCollection",
    "AsyncIOMotorCommandCursor",
    "AsyncIOMotorCursor",
    "AsyncIOMotorDatabase",
    "AsyncIOMotorGridFSBucket",
    "AsyncIOMotorGridIn",
    "AsyncIOMotorGridOut",
    "AsyncIOMotorGridOutCursor",
]


class _Asyncio(Framework):
    platform = "asyncio"

    def event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_event_loop()

    def check_event_loop(self, loop: Any) -> None:
        if not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"io_loop must be an asyncio event loop, not {loop!r}")

    def asyncio_loop(self, loop: Any) -> asyncio.AbstractEventLoop:
        own: asyncio.AbstractEventLoop = loop
        return own


_framework = _Asyncio()


class AsyncIOMotorClient(core.AgnosticClient[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticClient.__doc__
    _framework = _framework

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> AsyncIOMotorDatabase[DocumentType]: ...
        def __getitem__(self, name: str) -> AsyncIOMotorDatabase[DocumentType]: ...


class AsyncIOMotorClientSession(core.AgnosticClientSession):
    __doc__ = core.AgnosticClientSession.__doc__
    _framework = _framework


class AsyncIOMotorDatabase(core.AgnosticDatabase[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticDatabase.__doc__
    _framework = _framework

    if TYPE_CHECKING:

        @property
        def client(self) -> AsyncIOMotorClient[DocumentType]: ...
        def __getattr__(self, name: str) -> AsyncIOMotorCollection[DocumentType]: ...
        def __getitem__(self, name: str) -> AsyncIOMotorCollection[DocumentType]: ...


class AsyncIOMotorCollection(core.AgnosticCollection[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticCollection.__doc__
    _framework = _framework

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> AsyncIOMotorCollection[DocumentType]: ...
        def __getitem__(self, name: str) -> AsyncIOMotorCollection[DocumentType]: ...


class AsyncIOMotorCursor(core.AgnosticCursor[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticCursor.__doc__
    _framework = _framework


class AsyncIOMotorRawBatchCursor(core.AgnosticRawBatchCursor[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticRawBatchCursor.__doc__
    _framework = _framework


class AsyncIOMotorCommandCursor(core.AgnosticCommandCursor[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticCommandCursor.__doc__
    _framework = _framework


class AsyncIOMotorLatentCommandCursor(
    core.AgnosticLatentCommandCursor[DocumentType], Generic[DocumentType]
):
    __doc__ = core.AgnosticLatentCommandCursor.__doc__
    _framework = _framework


class AsyncIOMotorChangeStream(core.AgnosticChangeStream[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticChangeStream.__doc__
    _framework = _framework


class AsyncIOMotorGridFSBucket(motor_gridfs.AgnosticGridFSBucket):
    __doc__ = motor_gridfs.AgnosticGridFSBucket.__doc__
    _framework = _framework


class AsyncIOMotorGridIn(motor_gridfs.AgnosticGridIn):
    __doc__ = motor_gridfs.AgnosticGridIn.__doc__
    _framework = _framework


class AsyncIOMotorGridOut(motor_gridfs.AgnosticGridOut):
    __doc__ = motor_gridfs.AgnosticGridOut.__doc__
    _framework = _framework


class AsyncIOMotorGridOutCursor(motor_gridfs.AgnosticGridOutCursor):
    __doc__ = motor_gridfs.AgnosticGridOutCursor.__doc__
    _framework = _framework


class AsyncIOMotorClientEncryption(core.AgnosticClientEncryption):
    __doc__ = core.AgnosticClientEncryption.__doc__
    _framework = _framework


_framework.client = AsyncIOMotorClient
_framework.client_session = AsyncIOMotorClientSession
_framework.database = AsyncIOMotorDatabase
_framework.collection = AsyncIOMotorCollection
_framework.cursor = AsyncIOMotorCursor
_framework.raw_batch_cursor = AsyncIOMotorRawBatchCursor
_framework.command_cursor = AsyncIOMotorCommandCursor
_framework.latent_command_cursor = AsyncIOMotorLatentCommandCursor
_framework.change_stream = AsyncIOMotorChangeStream
_framework.grid_in = AsyncIOMotorGridIn
_framework.grid_out = AsyncIOMotorGridOut
_framework.grid_out_cursor = AsyncIOMotorGridOutCursor
