"""Where PyMongo has the synchronous classes of GridFS."""

from gridfs import DEFAULT_CHUNK_SIZE

from ferromongo.gridfs.errors import CorruptGridFile, FileExists, NoFile
from ferromongo.gridfs.synchronous.grid_file import (
    GridFS,
    GridFSBucket,
    GridIn,
    GridOut,
    GridOutCursor,
    GridOutIterator,
)

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "CorruptGridFile",
    "FileExists",
    "GridFS",
    "GridFSBucket",
    "GridIn",
    "GridOut",
    "GridOutCursor",
    "GridOutIterator",
    "NoFile",
]
