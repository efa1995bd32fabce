"""Motor's classes for Tornado, on its event loop, which runs on asyncio's.

from ferromongo.motor_tornado import MotorClient
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import TYPE_CHECKING, Any, Generic

import tornado
from tornado.ioloop import IOLoop

from ferromongo.motor import core, motor_gridfs
from ferromongo.motor.core.framework import Framework
from ferromongo.typings import DocumentType

__all__ = [
    "MotorChangeStream",
    "MotorClient",
    "MotorClientEncryption",
    "MotorClientSession",
    "MotorCollection",
    "MotorCommandCursor",
    "MotorCursor",
    "MotorDatabase",
    "MotorGridFSBucket",
    "MotorGridIn",
    "MotorGridOut",
    "MotorGridOutCursor",
]


class _Tornado(Framework):
    platform = f"Tornado {tornado.version}"

    def event_loop(self) -> IOLoop:
        return IOLoop.current()

    def check_event_loop(self, loop: Any) -> None:
        if not isinstance(loop, IOLoop):
            raise TypeError(f"io_loop must be an IOLoop, not {loop!r}")

    def asyncio_loop(self, loop: Any) -> AbstractEventLoop:
        own: AbstractEventLoop = loop.asyncio_loop
        return own


_framework = _Tornado()


class MotorClient(core.AgnosticClient[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticClient.__doc__
    _framework = _framework

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> MotorDatabase[DocumentType]: ...
        def __getitem__(self, name: str) -> MotorDatabase[DocumentType]: ...


class MotorClientSession(core.AgnosticClientSession):
    __doc__ = core.AgnosticClientSession.__doc__
    _framework = _framework


class MotorDatabase(core.AgnosticDatabase[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticDatabase.__doc__
    _framework = _framework

    if TYPE_CHECKING:

        @property
        def client(self) -> MotorClient[DocumentType]: ...
        def __getattr__(self, name: str) -> MotorCollection[DocumentType]: ...
        def __getitem__(self, name: str) -> MotorCollection[DocumentType]: ...


class MotorCollection(core.AgnosticCollection[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticCollection.__doc__
    _framework = _framework

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> MotorCollection[DocumentType]: ...
        def __getitem__(self, name: str) -> MotorCollection[DocumentType]: ...


class MotorCursor(core.AgnosticCursor[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticCursor.__doc__
    _framework = _framework


class MotorRawBatchCursor(core.AgnosticRawBatchCursor[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticRawBatchCursor.__doc__
    _framework = _framework


class MotorCommandCursor(core.AgnosticCommandCursor[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticCommandCursor.__doc__
    _framework = _framework


class MotorLatentCommandCursor(
    core.AgnosticLatentCommandCursor[DocumentType], Generic[DocumentType]
):
    __doc__ = core.AgnosticLatentCommandCursor.__doc__
    _framework = _framework


class MotorChangeStream(core.AgnosticChangeStream[DocumentType], Generic[DocumentType]):
    __doc__ = core.AgnosticChangeStream.__doc__
    _framework = _framework


class MotorGridFSBucket(motor_gridfs.AgnosticGridFSBucket):
    __doc__ = motor_gridfs.AgnosticGridFSBucket.__doc__
    _framework = _framework


class MotorGridIn(motor_gridfs.AgnosticGridIn):
    __doc__ = motor_gridfs.AgnosticGridIn.__doc__
    _framework = _framework


class MotorGridOut(motor_gridfs.AgnosticGridOut):
    __doc__ = motor_gridfs.AgnosticGridOut.__doc__
    _framework = _framework


class MotorGridOutCursor(motor_gridfs.AgnosticGridOutCursor):
    __doc__ = motor_gridfs.AgnosticGridOutCursor.__doc__
    _framework = _framework


class MotorClientEncryption(core.AgnosticClientEncryption):
    __doc__ = core.AgnosticClientEncryption.__doc__
    _framework = _framework


_framework.client = MotorClient
_framework.client_session = MotorClientSession
_framework.database = MotorDatabase
_framework.collection = MotorCollection
_framework.cursor = MotorCursor
_framework.raw_batch_cursor = MotorRawBatchCursor
_framework.command_cursor = MotorCommandCursor
_framework.latent_command_cursor = MotorLatentCommandCursor
_framework.change_stream = MotorChangeStream
_framework.grid_in = MotorGridIn
_framework.grid_out = MotorGridOut
_framework.grid_out_cursor = MotorGridOutCursor
