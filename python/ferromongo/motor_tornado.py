"""Motor's classes for Tornado: what `motor.motor_tornado` has, on ferromongo's engine."""

from ferromongo.motor.motor_tornado import (
    MotorChangeStream,
    MotorClient,
    MotorClientEncryption,
    MotorClientSession,
    MotorCollection,
    MotorCommandCursor,
    MotorCursor,
    MotorDatabase,
    MotorGridFSBucket,
    MotorGridIn,
    MotorGridOut,
    MotorGridOutCursor,
)
from ferromongo.motor.motor_tornado import (
    MotorLatentCommandCursor as MotorLatentCommandCursor,
)

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
