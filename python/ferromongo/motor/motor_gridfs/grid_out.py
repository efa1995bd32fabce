"""AgnosticGridOut: a file that is read from GridFS, with Motor's API."""

from __future__ import annotations

import datetime
import io
from asyncio import Future
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymongo.errors import InvalidOperation

from ferromongo._calls.gridfs_download import file_length, seek_target
from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut
from ferromongo.gridfs.synchronous.grid_out import GridOut
from ferromongo.motor.core.futures import running
from ferromongo.motor.motor_gridfs.grid_out_operations import GridOutOperations

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.motor.core.client_session import AgnosticClientSession
    from ferromongo.motor.core.collection import AgnosticCollection


class AgnosticGridOut(GridOutOperations):
    """A stored file, to be read. `await bucket.open_download_stream(...)` opens one.

    One that is made directly knows its fields once it was opened or read from. Iterating over it
    gives its chunks.
    """

    def __init__(
        self,
        root_collection: AgnosticCollection[Any],
        file_id: Any | None = None,
        file_document: Any | None = None,
        delegate: AsyncGridOut | GridOut | None = None,
        session: AgnosticClientSession | None = None,
    ) -> None:
        """A file of the bucket `root_collection`, such as `db.fs`.

        :param file_id: its `_id`
        :param file_document: its document of the collection `files`, if that is known already
        """
        if not isinstance(root_collection, self._framework.collection):
            raise TypeError(
                f"First argument to MotorGridOut must be MotorCollection, not {root_collection!r}"
            )
        self.io_loop = root_collection.get_io_loop()
        self._root_collection = root_collection
        inside: Any = session
        if isinstance(delegate, GridOut):
            inside, file_id, file_document = delegate._session, delegate._file_id, delegate._file
        self.delegate = (
            delegate
            if isinstance(delegate, AsyncGridOut)
            else AsyncGridOut(root_collection._twin(), file_id, file_document, inside)
        )

    def get_io_loop(self) -> Any:
        """The loop that its operations run on."""
        return self.io_loop

    def open(self) -> Future[Self]:
        """Fetch the file's document unless it is there; the Future's result is this object.

        Raises NoFile if there is none.
        """
        return running(self, self._opened())

    async def _opened(self) -> Self:
        await self.delegate.open()
        return self

    def seek(self, pos: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position counted from the start (`whence` 0), from here (1) or the end (2).

        Seeking from the end of a file that is not open yet blocks, as with Motor.
        """
        own, end = self.delegate, 0
        if whence == io.SEEK_END:
            if not own._file:
                root: Any = self._root_collection.delegate
                file = GridOut(root, own._file_id)
                file.open()
                own._file = file._file
            end = file_length(own._file)
        own._position = seek_target(pos, whence, own._position, end)
        return own._position

    def close(self) -> None:
        """Let the server forget the cursor."""
        # Dropped unread it is ended in the background.
        self._opened_delegate("close")._chunk_iter = None
        self.delegate.closed = True

    async def stream_to_handler(self, request_handler: Any) -> None:
        """Write the file to a Tornado `RequestHandler`, chunk by chunk; headers have to be set."""
        written = 0
        while written < self.length:
            chunk = await self.read(self.chunk_size)
            request_handler.write(chunk)
            request_handler.flush()
            written += len(chunk)

    def __aiter__(self) -> Self:
        """The chunks of the file."""
        return self

    async def __anext__(self) -> bytes:
        if chunk := await self.readchunk():
            return chunk
        raise StopAsyncIteration

    def _opened_delegate(self, name: str) -> AsyncGridOut:
        if not self.delegate._file:
            raise InvalidOperation(
                f"You must call MotorGridOut.open() before accessing the {name} property"
            )
        return self.delegate

    def __getattr__(self, name: str) -> Any:
        """Fields of the file's document that have no property."""
        if name.startswith("__") or name == "delegate":
            raise AttributeError(name)
        return getattr(self._opened_delegate(name), name)

    @property
    def _id(self) -> Any:
        """The file's `_id`."""
        return self._opened_delegate("_id")._id

    @property
    def filename(self) -> str:
        """The file's name."""
        return self._opened_delegate("filename").filename

    @property
    def name(self) -> str:
        """Same as `filename`."""
        return self._opened_delegate("name").name

    @property
    def content_type(self) -> str | None:
        """The file's media type. Deprecated."""
        return self._opened_delegate("content_type").content_type

    @property
    def length(self) -> int:
        """How many bytes the file has."""
        return self._opened_delegate("length").length

    @property
    def chunk_size(self) -> int:
        """How many bytes make a chunk."""
        return self._opened_delegate("chunk_size").chunk_size

    @property
    def upload_date(self) -> datetime.datetime:
        """When it was stored."""
        return self._opened_delegate("upload_date").upload_date

    @property
    def aliases(self) -> list[str] | None:
        """Other names. Deprecated."""
        return self._opened_delegate("aliases").aliases

    @property
    def metadata(self) -> Mapping[str, Any] | None:
        """What was stored with it."""
        return self._opened_delegate("metadata").metadata
