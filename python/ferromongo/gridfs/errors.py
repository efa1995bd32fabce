"""Where PyMongo has the exceptions of GridFS, which are PyMongo's own."""

from gridfs.errors import CorruptGridFile, FileExists, GridFSError, NoFile

__all__ = ["CorruptGridFile", "FileExists", "GridFSError", "NoFile"]
