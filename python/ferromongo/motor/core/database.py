"""AgnosticDatabase: Motor's database."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from bson.codec_options import CodecOptions
from bson.timestamp import Timestamp
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls import aggregation
from ferromongo._calls import database as calls
from ferromongo._drive import drive
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.motor.core.base import AgnosticBaseProperties
from ferromongo.motor.core.database_operations import DatabaseOperations
from ferromongo.synchronous.collection import Collection
from ferromongo.synchronous.command_cursor import CommandCursor
from ferromongo.synchronous.database import Database
from ferromongo.typings import CollationIn, DocumentType, DocumentTypeArg, Pipeline

if TYPE_CHECKING:
    from ferromongo.motor.core.change_stream import AgnosticChangeStream
    from ferromongo.motor.core.client import AgnosticClient
    from ferromongo.motor.core.client_session import AgnosticClientSession
    from ferromongo.motor.core.collection import AgnosticCollection
    from ferromongo.motor.core.command_cursor import (
        AgnosticCommandCursor,
        AgnosticLatentCommandCursor,
    )


class AgnosticDatabase(
    DatabaseOperations[DocumentType], AgnosticBaseProperties, Generic[DocumentType]
):
    """A database, with Motor's API; `client.shop` and `client["shop"]` make one."""

    def __init__(self, client: AgnosticClient[DocumentType], name: str, **kwargs: Any) -> None:
        """The database `name` of `client`; `kwargs` are the options of `Database`."""
        self._client = client
        delegate = kwargs.pop("_delegate", None)
        if delegate is None:
            delegate = Database(client.delegate, name, **kwargs)
        super().__init__(delegate)

    def _twin(self) -> AsyncDatabase[DocumentType]:
        own = self.delegate
        return AsyncDatabase(
            self._client._twin(),
            own.name,
            own.codec_options,
            own.read_preference,
            own.write_concern,
            own.read_concern,
        )

    @property
    def client(self) -> AgnosticClient[DocumentType]:
        """The client it belongs to."""
        return self._client

    def get_io_loop(self) -> Any:
        """The loop of its client."""
        return self._client.get_io_loop()

    def get_collection(
        self,
        name: str,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AgnosticCollection[DocumentType]:
        """A collection with options of its own; those not given are the database's."""
        collection = self.delegate.get_collection(
            name, codec_options, read_preference, write_concern, read_concern
        )
        return self._framework.collection(self, name, _delegate=collection)

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AgnosticDatabase[Any]:
        """The same database with some options changed; those not given stay."""
        changed: Database[Any] = self.delegate.with_options(
            codec_options,
            read_preference,
            write_concern,
            read_concern,
        )
        return type(self)(self._client, changed.name, _delegate=changed)

    async def create_collection(
        self,
        name: str,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        session: AgnosticClientSession | None = None,
        check_exists: bool | None = True,
        **kwargs: Any,
    ) -> AgnosticCollection[DocumentType]:
        """Create a collection explicitly, with options such as `capped`, `validator`, `timeseries`.

        :param check_exists: look first whether it exists (outside transactions)
        :param kwargs: options of the `create` command

        Raises CollectionInvalid if the collection exists.
        """
        options = (codec_options, read_preference, write_concern, read_concern)
        twin: Any = self._twin()
        await twin.create_collection(name, *options, session, check_exists, **kwargs)
        return self.get_collection(name, *options)

    async def list_collections(
        self,
        session: AgnosticClientSession | None = None,
        filter: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AgnosticCommandCursor[MutableMapping[str, Any]]:
        """A cursor over the collections: name, type, options, info.

        :param filter: a query over these descriptions
        :param kwargs: further elements of the `listCollections` command
        """
        opening = calls.list_collections(self.delegate, filter, session, comment, kwargs)
        cursor: CommandCursor[MutableMapping[str, Any]] = CommandCursor(opening, _any(session))
        await drive(cursor._start())
        return self._framework.command_cursor(cursor, self)

    async def cursor_command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        read_preference: ServerMode | None = None,
        codec_options: CodecOptions[Any] | None = None,
        session: AgnosticClientSession | None = None,
        comment: Any | None = None,
        max_await_time_ms: int | None = None,
        **kwargs: Any,
    ) -> AgnosticCommandCursor[DocumentType]:
        """Run any command whose reply has a cursor and return that.

        The parameters are those of `AsyncDatabase.cursor_command`.
        """
        opening = calls.cursor_command(
            self.delegate,
            command,
            value,
            read_preference,
            codec_options,
            session,
            comment,
            max_await_time_ms,
            kwargs,
        )
        cursor: CommandCursor[DocumentType] = CommandCursor(opening, _any(session))
        await drive(cursor._start())
        return self._framework.command_cursor(cursor, self)

    def aggregate(
        self, pipeline: Pipeline, *args: Any, **kwargs: Any
    ) -> AgnosticLatentCommandCursor[DocumentType]:
        """A cursor over an aggregation that starts from the database, such as `$currentOp`.

        The command is sent at the first use of the cursor.
        """
        return self._framework.latent_command_cursor(
            self["$cmd.aggregate"], self._aggregation, pipeline, *args, **kwargs
        )

    def _aggregation(
        self, pipeline: Pipeline, session: Any = None, **kwargs: Any
    ) -> aggregation.Aggregation:
        return aggregation.on_database(self.delegate, pipeline, session, kwargs)

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
        """A change stream of all collections, system collections excepted.

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

    def __getattr__(self, name: str) -> AgnosticCollection[DocumentType]:
        """The collection of that name."""
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. "
                f"The collection of that name is database[{name!r}]."
            )
        return self[name]

    def __getitem__(self, name: str) -> AgnosticCollection[DocumentType]:
        """The collection of that name."""
        return self._framework.collection(self, name)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """A misspelt method of a client ends here."""
        client = type(self._client).__name__
        raise TypeError(
            f"MotorDatabase object is not callable: a {client} has no method {self.delegate.name!r}"
        )

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.delegate)

    def __bool__(self) -> bool:
        return bool(self.delegate)

    def wrap(self, obj: Any) -> Any:
        """The Motor object for one of the delegate's: anything else is returned as it is."""
        if type(obj) is Collection:
            return self._framework.collection(self, obj.name, _delegate=obj)
        if type(obj) is Database:
            return type(self)(self._client, obj.name, _delegate=obj)
        if type(obj) is CommandCursor:
            return self._framework.command_cursor(obj, self)
        return obj


def _any(session: Any) -> Any:
    return session
