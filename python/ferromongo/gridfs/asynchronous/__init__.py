"""GridFS on the asynchronous API; the synchronous one is generated from it."""

from gridfs import DEFAULT_CHUNK_SIZE
from gridfs.errors import NoFile

from ferromongo.gridfs.asynchronous.bucket import AsyncGridFSBucket
from ferromongo.gridfs.asynchronous.grid_fs import AsyncGridFS
from ferromongo.gridfs.asynchronous.grid_in import AsyncGridIn
from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut
from ferromongo.gridfs.asynchronous.grid_out_cursor import AsyncGridOutCursor

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "AsyncGridFS",
    "AsyncGridFSBucket",
    "AsyncGridIn",
    "AsyncGridOut",
    "AsyncGridOutCursor",
    "NoFile",
]
