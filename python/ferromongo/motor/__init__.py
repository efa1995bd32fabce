"""Motor's package: its modules under their names, on ferromongo's engine.

As with Motor the names for Tornado are here too, if Tornado is installed.
"""

from importlib.util import find_spec

from ferromongo.motor.version import get_version_string, version, version_tuple

__all__ = ["get_version_string", "version", "version_tuple"]

if find_spec("tornado") is not None:
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

    __all__ += [
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
