"""AgnosticGridFSBucket: GridFS with Motor's API."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gridfs import DEFAULT_CHUNK_SIZE
from pymongo.write_concern import WriteConcern

from ferromongo._pymongo_internals import ServerMode
from ferromongo.gridfs.asynchronous.bucket import AsyncGridFSBucket
from ferromongo.gridfs.asynchronous.grid_in import AsyncGridIn
from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut
from ferromongo.gridfs.synchronous.bucket import GridFSBucket
from ferromongo.gridfs.synchronous.grid_out import GridOut
from ferromongo.gridfs.synchronous.grid_out_cursor import GridOutCursor
from ferromongo.motor.motor_gridfs.bucket_operations import BucketOperations

if TYPE_CHECKING:
    from ferromongo.motor.core.client_session import AgnosticClientSession
    from ferromongo.motor.core.database import AgnosticDatabase
    from ferromongo.motor.motor_gridfs.grid_in import AgnosticGridIn
    from ferromongo.motor.motor_gridfs.grid_out import AgnosticGridOut
    from ferromongo.motor.motor_gridfs.grid_out_cursor import AgnosticGridOutCursor


class AgnosticGridFSBucket(BucketOperations):
    """Files of any size in a database, stored in chunks, with Motor's API.

        bucket = AsyncIOMotorGridFSBucket(client.media)
        with open("tea.mp4", "rb") as source:
            key = await bucket.upload_from_stream("tea.mp4", source)

    The methods take the same arguments as those of `AsyncGridFSBucket`.
    """

    def __init__(
        self,
        database: AgnosticDatabase[Any],
        bucket_name: str = "fs",
        chunk_size_bytes: int = DEFAULT_CHUNK_SIZE,
        write_concern: WriteConcern | None = None,
        read_preference: ServerMode | None = None,
        collection: str | None = None,
    ) -> None:
        """Files in `bucket_name.files` and `bucket_name.chunks` of the database.

        :param collection: deprecated, another name of `bucket_name`
        """
        if collection is not None:
            warnings.warn(
                'the "collection" parameter is deprecated, use "bucket_name" instead',
                DeprecationWarning,
                stacklevel=2,
            )
            bucket_name = collection
        if not isinstance(database, self._framework.database):
            raise TypeError(
                f"First argument to {type(self)} must be MotorDatabase, not {database!r}"
            )
        self.io_loop = database.get_io_loop()
        self.collection = database.get_collection(
            bucket_name, write_concern=write_concern, read_preference=read_preference
        )
        options = (bucket_name, chunk_size_bytes, write_concern, read_preference)
        self.delegate = GridFSBucket(database.delegate, *options)
        self._asynchronous = AsyncGridFSBucket(database._twin(), *options)

    def _twin(self) -> AsyncGridFSBucket:
        return self._asynchronous

    def get_io_loop(self) -> Any:
        """The loop that its operations run on."""
        return self.io_loop

    async def open_download_stream(
        self,
        file_id: Any,
        session: AgnosticClientSession | None = None,
        *,
        start: int = 0,
        end: int | None = None,
    ) -> AgnosticGridOut:
        """Open the file with this `_id`; raises NoFile if there is none.

        :param start: the position of the first byte to be read
        :param end: the position after the last byte: reading ends there
        """
        twin: Any = self._asynchronous
        file = await twin.open_download_stream(file_id, session=session, start=start, end=end)
        return self._framework.grid_out(self.collection, delegate=file)

    async def open_download_stream_by_name(
        self,
        filename: str,
        revision: int = -1,
        session: AgnosticClientSession | None = None,
        *,
        start: int = 0,
        end: int | None = None,
    ) -> AgnosticGridOut:
        """Open one of the files with this name; raises NoFile if there is none.

        :param revision: 0 is the first that was stored, 1 the second; -1 the newest, -2 the one
            before

        `start` and `end` are as in `open_download_stream`.
        """
        twin: Any = self._asynchronous
        file = await twin.open_download_stream_by_name(
            filename, revision, session=session, start=start, end=end
        )
        return self._framework.grid_out(self.collection, delegate=file)

    def open_upload_stream(
        self,
        filename: str,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AgnosticClientSession | None = None,
    ) -> AgnosticGridIn:
        """A new file to write to; it is stored when it is closed.

        async with bucket.open_upload_stream("tea.txt", metadata={"lang": "en"}) as file:
            await file.write(b"Put the kettle on.")
        """
        twin: Any = self._asynchronous
        file = twin.open_upload_stream(filename, chunk_size_bytes, metadata, session)
        return self._framework.grid_in(self.collection, delegate=file)

    def open_upload_stream_with_id(
        self,
        file_id: Any,
        filename: str,
        chunk_size_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        session: AgnosticClientSession | None = None,
    ) -> AgnosticGridIn:
        """As `open_upload_stream`, with an `_id` that no file has yet."""
        twin: Any = self._asynchronous
        file = twin.open_upload_stream_with_id(
            file_id, filename, chunk_size_bytes, metadata, session
        )
        return self._framework.grid_in(self.collection, delegate=file)

    def find(self, *args: Any, **kwargs: Any) -> AgnosticGridOutCursor:
        """A cursor over the files whose documents match; see `AgnosticGridOutCursor`."""
        return self._framework.grid_out_cursor(self.delegate.find(*args, **kwargs), self.collection)

    def wrap(self, obj: Any) -> Any:
        """The Motor object for a file or a cursor over files."""
        if type(obj) is AsyncGridIn:
            return self._framework.grid_in(self.collection, delegate=obj)
        if type(obj) in (AsyncGridOut, GridOut):
            return self._framework.grid_out(self.collection, delegate=obj)
        if type(obj) is GridOutCursor:
            return self._framework.grid_out_cursor(obj, self.collection)
        return None
