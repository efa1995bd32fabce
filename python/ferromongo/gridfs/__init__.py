"""Files of any size in a database: PyMongo's package `gridfs` on ferromongo's engine.

from ferromongo import MongoClient
from ferromongo.gridfs import GridFSBucket

bucket = GridFSBucket(MongoClient().media)
bucket.upload_from_stream("tea.txt", b"Put the kettle on.")
"""

from gridfs import DEFAULT_CHUNK_SIZE
from gridfs.errors import NoFile

from ferromongo._calls.gridfs_orphans import Orphans
from ferromongo.gridfs.asynchronous.grid_file import (
    AsyncGridFS,
    AsyncGridFSBucket,
    AsyncGridIn,
    AsyncGridOut,
    AsyncGridOutCursor,
)
from ferromongo.gridfs.synchronous.grid_file import (
    GridFS,
    GridFSBucket,
    GridIn,
    GridOut,
    GridOutCursor,
)

__all__ = [
    "DEFAULT_CHUNK_SIZE",
    "AsyncGridFS",
    "AsyncGridFSBucket",
    "AsyncGridIn",
    "AsyncGridOut",
    "AsyncGridOutCursor",
    "GridFS",
    "GridFSBucket",
    "GridIn",
    "GridOut",
    "GridOutCursor",
    "NoFile",
    "Orphans",
]
