"""AsyncDatabase: a named set of collections."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from bson.codec_options import CodecOptions
from bson.dbref import DBRef
from bson.timestamp import Timestamp
from pymongo.errors import CollectionInvalid
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls import aggregation
from ferromongo._calls import database as calls
from ferromongo._calls.bases import DatabaseBase, check_database_name, check_kind
from ferromongo._calls.listed_sessions import list_sessions
from ferromongo._calls.sessions import in_transaction
from ferromongo._drive import drive
from ferromongo._opening import openable
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous._iteration import every
from ferromongo.asynchronous.change_stream import AsyncDatabaseChangeStream
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.asynchronous.command_cursor import AsyncCommandCursor
from ferromongo.asynchronous.listed_session import AsyncListedSession
from ferromongo.asynchronous.recovery import failed_sessions
from ferromongo.typings import CollationIn, DocumentType, DocumentTypeArg, Pipeline

if TYPE_CHECKING:
    from ferromongo.asynchronous.mongo_client import AsyncMongoClient

_CodecDocument = TypeVar("_CodecDocument", bound=Mapping[str, Any])


class AsyncDatabase(DatabaseBase, Generic[DocumentType]):
    """A database of a client. Collections are attributes or items: `db.orders`, `db["orders"]`.

    Making one costs nothing and sends nothing. Counterpart of PyMongo's `AsyncDatabase`.
    """

    def __init__(
        self,
        client: AsyncMongoClient[DocumentType],
        name: str,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> None:
        """The database `name` of `client`; options not given are the client's.

        Raises InvalidName for a name no database can have.
        """
        check_kind(client, "AsyncMongoClient")
        check_database_name(name)
        super().__init__(
            codec_options or client.codec_options,
            read_preference or client.read_preference,
            write_concern or client.write_concern,
            read_concern or client.read_concern,
        )
        self._client: AsyncMongoClient[DocumentType] = client
        self._name = name

    @property
    def client(self) -> AsyncMongoClient[DocumentType]:
        """The client it belongs to."""
        return self._client

    @property
    def name(self) -> str:
        """The name of the database."""
        return self._name

    def __getattr__(self, name: str) -> AsyncCollection[DocumentType]:
        """The collection of that name."""
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. "
                f"The collection of that name is database[{name!r}]."
            )
        return self[name]

    def __getitem__(self, name: str) -> AsyncCollection[DocumentType]:
        """The collection of that name."""
        return AsyncCollection(self, name)

    def get_collection(
        self,
        name: str,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AsyncCollection[DocumentType]:
        """A collection with options of its own; those not given are the database's. Sends nothing.

        Raises InvalidName for a name no collection can have, TypeError for an option of the wrong
        class.
        """
        return AsyncCollection(
            self, name, False, codec_options, read_preference, write_concern, read_concern
        )

    @overload
    def with_options(
        self,
        codec_options: None = None,
        read_preference: ServerMode | None = ...,
        write_concern: WriteConcern | None = ...,
        read_concern: ReadConcern | None = ...,
    ) -> AsyncDatabase[DocumentType]: ...

    @overload
    def with_options(
        self,
        codec_options: CodecOptions[DocumentTypeArg],
        read_preference: ServerMode | None = ...,
        write_concern: WriteConcern | None = ...,
        read_concern: ReadConcern | None = ...,
    ) -> AsyncDatabase[DocumentTypeArg]: ...

    def with_options(
        self,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AsyncDatabase[DocumentType] | AsyncDatabase[DocumentTypeArg]:
        """The same database with some options changed; those not given stay. Sends nothing.

        Raises TypeError for an option of the wrong class.
        """
        return AsyncDatabase(
            self._client,
            self._name,
            codec_options or self._codec_options,
            read_preference or self._read_preference,
            write_concern or self._write_concern,
            read_concern or self._read_concern,
        )

    @overload
    async def command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        check: bool = True,
        allowable_errors: Sequence[str | int] | None = None,
        read_preference: ServerMode | None = None,
        codec_options: None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]: ...

    @overload
    async def command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        check: bool = True,
        allowable_errors: Sequence[str | int] | None = None,
        read_preference: ServerMode | None = None,
        codec_options: CodecOptions[_CodecDocument] = ...,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> _CodecDocument: ...

    async def command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        check: bool = True,
        allowable_errors: Sequence[str | int] | None = None,
        read_preference: ServerMode | None = None,
        codec_options: CodecOptions[_CodecDocument] | None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> dict[str, Any] | _CodecDocument:
        """Run any command and return the server's reply. It is sent once, never retried.

        :param command: the command's name, or the whole command with the name as its first key
        :param value: the value of that first key when `command` is a name
        :param check: False returns the reply of a failed command instead of raising
        :param allowable_errors: codes and messages that are returned instead of raised
        :param read_preference: where to run it; the primary if not given
        :param codec_options: how to decode the reply; PyMongo's defaults if not given
        :param kwargs: further elements of the command
        :param comment: any value, to find the command by in the server's log and profiler

        Raises OperationFailure when the command fails.

            await db.command("collStats", "orders")
        """
        pending = calls.command(
            self,
            command,
            value,
            read_preference,
            codec_options,
            session,
            comment,
            check,
            allowable_errors,
            kwargs,
        )
        reply: dict[str, Any] | _CodecDocument = await drive(pending)
        return reply

    @openable
    async def cursor_command(
        self,
        command: str | MutableMapping[str, Any],
        value: Any = 1,
        read_preference: ServerMode | None = None,
        codec_options: CodecOptions[_CodecDocument] | None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        max_await_time_ms: int | None = None,
        **kwargs: Any,
    ) -> AsyncCommandCursor[DocumentType]:
        """Run any command whose reply has a cursor and return that. It is sent once, never retried.

        :param comment: for the getMores; the command's own belongs into the command
        :param max_await_time_ms: milliseconds each getMore of a tailable cursor waits for documents

        The other arguments are those of `command`. Raises InvalidOperation for a reply without a
        cursor.

            await db.cursor_command("find", "orders", batchSize=100)
        """
        opening = calls.cursor_command(
            self,
            command,
            value,
            read_preference,
            codec_options,
            session,
            comment,
            max_await_time_ms,
            kwargs,
        )
        cursor: AsyncCommandCursor[DocumentType] = AsyncCommandCursor(opening, session)
        await drive(cursor._start())
        return cursor

    @openable
    async def aggregate(
        self, pipeline: Pipeline, session: AsyncClientSession | None = None, **kwargs: Any
    ) -> AsyncCommandCursor[DocumentType]:
        """Run an aggregation that starts from the database, such as `$currentOp`.

        :param pipeline: a list of stages
        :param kwargs: further elements of the command: `batchSize`, `allowDiskUse`, ...
        """
        aggregate = aggregation.on_database(self, pipeline, session, kwargs)
        if aggregate.write is not None:
            await drive(aggregate.write)
        cursor: AsyncCommandCursor[DocumentType] = AsyncCommandCursor(aggregate.opening, session)
        await drive(cursor._start())
        return cursor

    @openable
    async def watch(
        self,
        pipeline: Pipeline | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: CollationIn | None = None,
        start_at_operation_time: Timestamp | None = None,
        session: AsyncClientSession | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> AsyncDatabaseChangeStream[DocumentType]:
        """Open a change stream of all collections, system collections excepted.

        The parameters are those of `AsyncCollection.watch`.
        """
        stream: AsyncDatabaseChangeStream[DocumentType] = AsyncDatabaseChangeStream(
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
        await drive(stream._opened())
        return stream

    async def list_sessions(
        self,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        *,
        local: bool = True,
        all_users: bool = False,
        failed: bool = False,
    ) -> list[AsyncListedSession]:
        """The sessions that the server knows, of all databases, each beside a session to work with.

        :param local: those in the memory of one server; False for those that all servers of the
            deployment have written down, which they do every few minutes
        :param all_users: of everybody, if the user may see them; else the user's own
        :param failed: instead, the transactions of the client's transaction log that failed: those
            that ended with an error and are known not to be committed. Those in doubt are recovered
            first. Once a session's transaction is committed, the failed one is not listed again

        Raises ConfigurationError if `failed` and the client has no log.

            for session in await db.list_sessions():
                print(session.listed["_id"]["id"], session.listed["lastUse"])
        """
        if failed:
            return await failed_sessions(self._client)
        database: AsyncDatabase[Any] = self if local else self._client["config"]
        opening = list_sessions(database, session, comment, local, all_users)
        cursor: AsyncCommandCursor[dict[str, Any]] = AsyncCommandCursor(opening, session)
        found = await drive(cursor._fetch_all(None))
        return [AsyncListedSession(self._client, listed) for listed in found]

    async def create_collection(
        self,
        name: str,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        session: AsyncClientSession | None = None,
        check_exists: bool | None = True,
        **kwargs: Any,
    ) -> AsyncCollection[DocumentType]:
        """Create a collection explicitly, with options such as `capped`, `validator`, `timeseries`.

        :param check_exists: look first whether it exists (outside transactions)
        :param kwargs: options of the `create` command: `capped`, `size` (bytes), `max`,
            `timeseries`, `expireAfterSeconds`, `clusteredIndex`, `viewOn`, `validator`, ...

        Raises CollectionInvalid if the collection exists, OperationFailure for options that the
        server refuses.

            await db.create_collection("log", capped=True, size=1_000_000)
        """
        if check_exists and not in_transaction(session, self._client):
            if name in await self._list_collection_names({"name": name}, session, None, {}):
                raise CollectionInvalid(f"collection {name} already exists")
        collection: AsyncCollection[DocumentType] = AsyncCollection(
            self, name, False, codec_options, read_preference, write_concern, read_concern
        )
        await drive(calls.create_collection(collection, kwargs, session))
        return collection

    @openable
    async def list_collections(
        self,
        session: AsyncClientSession | None = None,
        filter: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AsyncCommandCursor[MutableMapping[str, Any]]:
        """A cursor over the collections: name, type, options, info.

        :param filter: a query over these descriptions
        :param kwargs: further elements of the `listCollections` command
        :param comment: any value, to find the command by in the server's log and profiler
        """
        opening = calls.list_collections(self, filter, session, comment, kwargs)
        cursor: AsyncCommandCursor[MutableMapping[str, Any]] = AsyncCommandCursor(opening, session)
        await drive(cursor._start())
        return cursor

    async def list_collection_names(
        self,
        session: AsyncClientSession | None = None,
        filter: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """The names of the collections.

        :param filter: a query over the collections' descriptions
        :param kwargs: further elements of the `listCollections` command
        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await self._list_collection_names(filter, session, comment, kwargs)

    async def _list_collection_names(
        self,
        filter: Mapping[str, Any] | None,
        session: AsyncClientSession | None,
        comment: Any | None,
        options: dict[str, Any],
    ) -> list[str]:
        opening = calls.list_collection_names(self, filter, session, comment, options)
        cursor: AsyncCommandCursor[dict[str, Any]] = AsyncCommandCursor(opening, session)
        return [found["name"] for found in await every(cursor)]

    async def drop_collection(
        self,
        name_or_collection: str | AsyncCollection[DocumentTypeArg],
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Delete a collection with its documents and indexes; no error if there is none.

        :param comment: any value, to find the command by in the server's log and profiler

        Returns the server's reply.
        """
        return await drive(
            calls.drop_collection(self, name_or_collection, session, comment, encrypted_fields)
        )

    async def validate_collection(
        self,
        name_or_collection: str | AsyncCollection[DocumentTypeArg],
        scandata: bool = False,
        full: bool = False,
        session: AsyncClientSession | None = None,
        background: bool | None = None,
        comment: Any | None = None,
    ) -> dict[str, Any]:
        """Let the server check a collection's structures; returns its report.

        :param scandata: also check the documents
        :param full: the slow, complete check
        :param background: check while the collection is in use
        :param comment: any value, to find the command by in the server's log and profiler

        Raises CollectionInvalid if the server finds damage.
        """
        command = calls.validate_command(name_or_collection, scandata, full, background)
        reply = await self.command(command, session=session, comment=comment)
        return calls.valid_or_raise(reply, name_or_collection)

    async def dereference(
        self,
        dbref: DBRef,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> DocumentType | None:
        """The document a DBRef points to, or None.

        :param kwargs: further arguments of `find_one`
        :param comment: any value, to find the command by in the server's log and profiler

        Raises ValueError if the reference names another database.
        """
        filter = calls.referenced(self, dbref)
        collection = self[dbref.collection]
        return await collection.find_one(filter, session=session, comment=comment, **kwargs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncDatabase):
            return bool(self._client == other._client and self._name == other._name)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self._client, self._name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._client!r}, {self._name!r})"
