"""GridFS with Motor's API, without a framework: what `motor.motor_gridfs` has."""

from ferromongo.motor.motor_gridfs.bucket import AgnosticGridFSBucket
from ferromongo.motor.motor_gridfs.etag import _hash_gridout
from ferromongo.motor.motor_gridfs.grid_in import AgnosticGridIn
from ferromongo.motor.motor_gridfs.grid_out import AgnosticGridOut
from ferromongo.motor.motor_gridfs.grid_out_cursor import AgnosticGridOutCursor

__all__ = [
    "AgnosticGridFSBucket",
    "AgnosticGridIn",
    "AgnosticGridOut",
    "AgnosticGridOutCursor",
    "_hash_gridout",
]
