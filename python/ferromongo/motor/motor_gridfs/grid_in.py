"""AgnosticGridIn: a file that is being written to GridFS, with Motor's API."""

from __future__ import annotations

import datetime
from asyncio import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ferromongo._calls.gridfs_files import assigned_field
from ferromongo.gridfs.asynchronous.grid_in import AsyncGridIn
from ferromongo.motor.core.futures import failed, loop_of
from ferromongo.motor.motor_gridfs.grid_in_operations import GridInOperations

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.motor.core.client_session import AgnosticClientSession
    from ferromongo.motor.core.collection import AgnosticCollection


class AgnosticGridIn(GridInOperations):
    """A new file: write to it, then close it. `bucket.open_upload_stream` makes one.

    async with bucket.open_upload_stream("tea.txt") as file:
        await file.write(b"Put the kettle on.")
    """

    def __init__(
        self,
        root_collection: AgnosticCollection[Any],
        delegate: AsyncGridIn | None = None,
        session: AgnosticClientSession | None = None,
        **kwargs: Any,
    ) -> None:
        """A file in the bucket `root_collection`, such as `db.fs`; `kwargs` are its fields."""
        if not isinstance(root_collection, self._framework.collection):
            raise TypeError(
                f"First argument to MotorGridIn must be MotorCollection, not {root_collection!r}"
            )
        self.io_loop = root_collection.get_io_loop()
        inside: Any = session
        self.delegate = delegate or AsyncGridIn(root_collection._twin(), inside, **kwargs)

    def get_io_loop(self) -> Any:
        """The loop that its operations run on."""
        return self.io_loop

    @property
    def _id(self) -> Any:
        """The file's `_id`."""
        return self.delegate._id

    @property
    def filename(self) -> str | None:
        """The file's name."""
        return self.delegate.filename

    @property
    def name(self) -> str | None:
        """Same as `filename`."""
        return self.delegate.name

    @property
    def content_type(self) -> str | None:
        """The file's media type. Deprecated."""
        return self.delegate.content_type

    @property
    def length(self) -> int:
        """How many bytes the file has; not known before `close`."""
        return self.delegate.length

    @property
    def chunk_size(self) -> int:
        """How many bytes make a chunk."""
        return self.delegate.chunk_size

    @property
    def upload_date(self) -> datetime.datetime:
        """When the file was closed; not known before."""
        return self.delegate.upload_date

    def set(self, name: str, value: Any) -> Future[None]:
        """Set a field of the file's document; of a closed file, in the database too.

        A name of an attribute means the field that it shows: `content_type` is `contentType`.
        """
        try:
            field = assigned_field(type(self.delegate), name)
        except AttributeError as error:
            return failed(loop_of(self), error)
        return super().set(field, value)

    def __getattr__(self, name: str) -> Any:
        """Fields of the file's document."""
        if name == "delegate":
            raise AttributeError(name)
        return getattr(self.delegate, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Close the file; after an exception only mark it closed."""
        await self.delegate.__aexit__(exc_type, exc_val, exc_tb)
