"""AgnosticClient: Motor's client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic

from bson.codec_options import CodecOptions
from bson.timestamp import Timestamp
from pymongo.client_session_shared import SessionOptions, TransactionOptions
from pymongo.driver_info import DriverInfo
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls import client as calls
from ferromongo._drive import drive
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.motor.core.base import AgnosticBaseProperties, OnOwnLoop
from ferromongo.motor.core.client_operations import ClientOperations
from ferromongo.motor.version import version
from ferromongo.synchronous.client_session import ClientSession
from ferromongo.synchronous.command_cursor import CommandCursor
from ferromongo.synchronous.database import Database
from ferromongo.synchronous.mongo_client import MongoClient
from ferromongo.typings import CollationIn, DocumentType, DocumentTypeArg, Pipeline

if TYPE_CHECKING:
    from ferromongo.motor.core.change_stream import AgnosticChangeStream
    from ferromongo.motor.core.client_session import AgnosticClientSession
    from ferromongo.motor.core.command_cursor import AgnosticCommandCursor
    from ferromongo.motor.core.database import AgnosticDatabase


class AgnosticClient(
    ClientOperations[DocumentType], OnOwnLoop, AgnosticBaseProperties, Generic[DocumentType]
):
    """A client of one MongoDB deployment, with Motor's API.

    Its operations run on one event loop: the one given as `io_loop`, or else the one that is
    current at the first use.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes the arguments of `MongoClient`, and `io_loop`, an event loop."""
        io_loop = None
        if "io_loop" in kwargs:
            io_loop = kwargs.pop("io_loop")
            self._framework.check_event_loop(io_loop)
        self._io_loop = io_loop
        kwargs.setdefault("connect", False)
        given = kwargs.pop("driver", None)
        if given is not None and not isinstance(given, DriverInfo):
            raise TypeError(f"driver must be a pymongo.driver_info.DriverInfo, not {type(given)}")
        # In the handshake stands Motor's API, then what is built on it.
        kwargs["driver"] = DriverInfo("Motor", version, self._framework.platform)
        super().__init__(MongoClient(*args, **kwargs))
        if given is not None:
            self.delegate.append_metadata(given)
        self._asynchronous: AsyncMongoClient[DocumentType] | None = None

    def _twin(self) -> AsyncMongoClient[DocumentType]:
        if self._asynchronous is None:
            self._asynchronous = _Twin(self.delegate)
        return self._asynchronous

    @property
    def HOST(self) -> str:
        """The host of clients that are given none."""
        return self.delegate.HOST

    @property
    def PORT(self) -> int:
        """The port of hosts that name none."""
        return self.delegate.PORT

    def close(self) -> None:
        """End the server sessions and close every connection, before it returns."""
        self.delegate.close()

    def get_database(
        self,
        name: str | None = None,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AgnosticDatabase[DocumentType]:
        """A database with options of its own; those not given are the client's.

        :param name: its name, or None for the one in the connection string

        Raises ConfigurationError if `name` is None and the connection string names none.
        """
        database = self.delegate.get_database(
            name, codec_options, read_preference, write_concern, read_concern
        )
        return self._framework.database(self, database.name, _delegate=database)

    def get_default_database(
        self,
        default: str | None = None,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AgnosticDatabase[DocumentType]:
        """The database in the connection string, or `default` if that names none.

        Raises ConfigurationError if there is neither.
        """
        database = self.delegate.get_default_database(
            default, codec_options, read_preference, write_concern, read_concern
        )
        return self._framework.database(self, database.name, _delegate=database)

    async def list_databases(
        self,
        session: AgnosticClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AgnosticCommandCursor[dict[str, Any]]:
        """A cursor over the descriptions of all databases: name, size, emptiness.

        :param kwargs: further elements of the `listDatabases` command, such as `filter`
        """
        opening = calls.list_databases(self.delegate._admin(), session, comment, kwargs)
        cursor: CommandCursor[dict[str, Any]] = CommandCursor(opening, None)
        await drive(cursor._start())
        return self._framework.command_cursor(cursor, self)

    async def start_session(
        self,
        causal_consistency: bool | None = None,
        default_transaction_options: TransactionOptions | None = None,
        snapshot: bool | None = False,
        snapshot_time: Timestamp | None = None,
    ) -> AgnosticClientSession:
        """A session, to be passed to operations.

            async with await client.start_session() as session:
                async with session.start_transaction():
                    await orders.insert_one({"item": "tea"}, session=session)

        The parameters are those of `AsyncMongoClient.start_session`.
        """
        options = SessionOptions(causal_consistency, default_transaction_options, snapshot)
        session = ClientSession(self.delegate, options, snapshot_time)
        return self._framework.client_session(session, self)

    def watch(
        self,
        pipeline: Pipeline | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: CollationIn | None = None,
        start_at_operation_time: Timestamp | None = None,
        session: AgnosticClientSession | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> AgnosticChangeStream[DocumentType]:
        """A change stream of all databases but `admin`, `config` and `local`.

        It is opened by `async with` or at its first use. The parameters are those of
        `AsyncCollection.watch`.
        """
        return self._framework.change_stream(
            self,
            pipeline,
            full_document,
            resume_after,
            max_await_time_ms,
            batch_size,
            collation,
            start_at_operation_time,
            session,
            start_after,
            comment,
            full_document_before_change,
            show_expanded_events,
        )

    def __getattr__(self, name: str) -> AgnosticDatabase[DocumentType]:
        """The database of that name."""
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. "
                f"The database of that name is client[{name!r}]."
            )
        return self[name]

    def __getitem__(self, name: str) -> AgnosticDatabase[DocumentType]:
        """The database of that name."""
        return self._framework.database(self, name)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.delegate)

    def wrap(self, obj: Any) -> Any:
        """The Motor object for a Database, CommandCursor or ClientSession of the delegate."""
        if type(obj) is Database:
            return self._framework.database(self, obj.name, _delegate=obj)
        if type(obj) is CommandCursor:
            return self._framework.command_cursor(obj, self)
        if type(obj) is ClientSession:
            return self._framework.client_session(obj, self)
        return None


class _Twin(AsyncMongoClient[DocumentType]):
    """The asynchronous client on the engine of a synchronous one."""

    def __init__(self, client: MongoClient[DocumentType]) -> None:
        # What changes in the one (the options after a DNS look-up) changes in the other.
        self.__dict__ = client.__dict__

    def __del__(self) -> None:
        """It is the client that is closed."""
