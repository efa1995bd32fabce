"""AsyncMongoClient: the way in."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions, TypeRegistry
from bson.timestamp import Timestamp
from pymongo.client_options import ClientOptions
from pymongo.client_session_shared import SessionOptions, TransactionOptions
from pymongo.driver_info import DriverInfo
from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.results import ClientBulkWriteResult
from pymongo.topology_description import TopologyDescription
from pymongo.write_concern import WriteConcern

from ferromongo._calls import client as calls
from ferromongo._calls import client_bulk
from ferromongo._calls.atomic import Result, TransactionReport, atomic_options, check_function
from ferromongo._calls.bases import ClientBase
from ferromongo._calls.client_settings import client_settings, describe
from ferromongo._calls.metadata import append_metadata
from ferromongo._calls.recovery import RecoveryReport
from ferromongo._calls.sessions import in_transaction
from ferromongo._calls.transaction_entries import TransactionEntry
from ferromongo._calls.transaction_log import TransactionLog
from ferromongo._calls.write_errors import checked_write_concern
from ferromongo._drive import drive
from ferromongo._opening import openable
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous._iteration import every, is_own
from ferromongo.asynchronous.change_stream import AsyncChangeStream, AsyncClusterChangeStream
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.command_cursor import AsyncCommandCursor
from ferromongo.asynchronous.database import AsyncDatabase
from ferromongo.asynchronous.listed_session import AsyncListedSession
from ferromongo.asynchronous.recovery import recover
from ferromongo.asynchronous.transaction import AsyncAtomic
from ferromongo.typings import (
    Address,
    CollationIn,
    DocumentType,
    DocumentTypeArg,
    Pipeline,
    WriteOp,
)

if TYPE_CHECKING:
    from typing import Self

_IS_SYNC = False


class AsyncMongoClient(ClientBase, Generic[DocumentType]):
    """A client of one MongoDB deployment, with its connection pools; make one and keep it.

    Databases are attributes or items: `client.shop`, `client["shop"]`. Nothing is sent before the
    first operation. One client may be used on several event loops and threads.

    Counterpart of `pymongo.AsyncMongoClient`, with the same options.

        async with AsyncMongoClient("mongodb://localhost:27017") as client:
            await client.shop.orders.insert_one({"item": "tea"})
    """

    HOST = "localhost"
    PORT = 27017
    _session_name = "AsyncClientSession"

    def __init__(
        self,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        document_class: type[DocumentType] | None = None,
        tz_aware: bool | None = None,
        connect: bool | None = None,
        type_registry: TypeRegistry | None = None,
        **kwargs: Any,
    ) -> None:
        """Read the options; `docs/connecting.md` describes all of them.

        :param host: host name, `host:port`, connection string, or a list of these
        :param port: port of hosts that name none
        :param document_class: the class documents are decoded to, `dict` if not given
        :param tz_aware: decode dates as `datetime` with a time zone
        :param connect: begin to look for the servers at once (synchronous client)
        :param type_registry: codecs for types of your own
        :param kwargs: further options by PyMongo's names; they win over a connection string's

        Raises ConfigurationError, InvalidURI, TypeError or ValueError for options that do not fit,
        and ConfigurationError for those that ferromongo does not support yet.
        """
        keywords = {"document_class": document_class or dict, **kwargs}
        if type_registry is not None:
            keywords["type_registry"] = type_registry
        settings = client_settings(
            host,
            port,
            {**keywords, "tz_aware": tz_aware, "connect": connect},
            default_host=self.HOST,
            default_port=self.PORT,
            is_sync=_IS_SYNC,
        )
        options = settings.options
        super().__init__(
            options.codec_options,
            options.read_preference,
            options.write_concern,
            options.read_concern,
        )
        self._settings = settings.kept()  # replaced, as are the options, after a look-up
        self._client_options = options
        self._sites_guarded = set()
        self._event_listeners = options.pool_options._event_listeners
        self._core = calls.engine(self, settings)
        # Source lines are read only if the warning in `__del__` is ever shown.
        callers = traceback.walk_stack(sys._getframe(1))
        self._made_at = traceback.StackSummary.extract(callers, lookup_lines=False)
        if _IS_SYNC and options.connect:
            calls.open_now(self)

    async def aconnect(self) -> None:
        """Begin to look for the servers, without waiting for an answer from them.

        Waits for the look-up of a `mongodb+srv://` name; raises ConfigurationError if that fails.
        """
        await drive(calls.opening(self))

    def __getattr__(self, name: str) -> AsyncDatabase[DocumentType]:
        """The database of that name."""
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. "
                f"The database of that name is client[{name!r}]."
            )
        return self[name]

    def __getitem__(self, name: str) -> AsyncDatabase[DocumentType]:
        """The database of that name."""
        return AsyncDatabase(self, name)

    def get_database(
        self,
        name: str | None = None,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AsyncDatabase[DocumentType]:
        """A database with options of its own; those not given are the client's.

        :param name: its name, or None for the one in the connection string

        Raises ConfigurationError if `name` is None and the connection string names none.
        """
        if name is None:
            name = self._settings.default_database
            if name is None:
                raise ConfigurationError("the connection string names no default database")
        return AsyncDatabase(
            self, name, codec_options, read_preference, write_concern, read_concern
        )

    def get_default_database(
        self,
        default: str | None = None,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AsyncDatabase[DocumentType]:
        """The database in the connection string, or `default` if that names none.

        Raises ConfigurationError if there is neither.
        """
        name = self._settings.default_database or default
        if name is None:
            raise ConfigurationError("no default database was named or given")
        return AsyncDatabase(
            self, name, codec_options, read_preference, write_concern, read_concern
        )

    def start_session(
        self,
        causal_consistency: bool | None = None,
        default_transaction_options: TransactionOptions | None = None,
        snapshot: bool | None = False,
        snapshot_time: Timestamp | None = None,
    ) -> AsyncClientSession:
        """A session, to be passed to operations and ended after use, or a decorator of functions.

        :param causal_consistency: reads see the session's earlier writes; default True
        :param default_transaction_options: options of transactions that are given none
        :param snapshot: all reads see the data of one point in time
        :param snapshot_time: that time, such as the `snapshot_time` of another session; the time of
            the first read if not given

        Raises ConfigurationError for causal consistency together with snapshot, and for a
        snapshot_time without it.
        """
        options = SessionOptions(causal_consistency, default_transaction_options, snapshot)
        return AsyncClientSession(self, options, snapshot_time)

    @overload
    async def run_atomic(
        self,
        function: Callable[..., Coroutine[Any, Any, Result]],
        *args: Any,
        report: Literal[True],
        **options: Any,
    ) -> TransactionReport[Result]: ...
    @overload
    async def run_atomic(
        self,
        function: Callable[..., Coroutine[Any, Any, Result]],
        *args: Any,
        report: Literal[False] = False,
        **options: Any,
    ) -> Result: ...
    async def run_atomic(
        self, function: Callable[..., Any], *args: Any, report: bool = False, **options: Any
    ) -> Any:
        """Call the function in a transaction, which operations of this client in it join.

        It is committed when the function returns, and rolled back if it raises. After errors with
        the label TransientTransactionError the function is called again.

        :param args: the function's positional arguments; `functools.partial` takes others
        :param report: return a `TransactionReport`, with the errors of former attempts
        :param options: those of `ferromongo.transaction.atomic`
        """
        atomic = AsyncAtomic(self, atomic_options(**options))
        check_function(function, _IS_SYNC, decorated=False)
        result, attempts = await atomic.call(function, args, {})
        return TransactionReport(result, attempts) if report else result

    async def recover_transactions(
        self,
        log: TransactionLog,
        replay: Callable[[TransactionEntry, AsyncClientSession], Awaitable[Any]]
        | Literal[True]
        | None = None,
    ) -> RecoveryReport:
        """Find out how those transactions of a log ended whose outcome is not known.

        What is found out is written into the log. If a commit may have been sent it is sent again:
        the server commits, or says whether it had committed. A transaction whose commit was not
        asked for is aborted. Those that this process is still busy with are left alone.

        :param log: usually that of an earlier process, opened by its path
        :param replay: called with the entry and a session for each transaction that is known not to
            be committed, in a new transaction, by `with_transaction`; or True, to make the captured
            writes once more, as they were

        Raises ServerSelectionTimeoutError if there is no primary to be asked, and InvalidOperation
        while another call recovers the same log.
        """
        return await recover(self, log, replay)

    async def list_sessions(
        self,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        *,
        local: bool = True,
        all_users: bool = False,
        failed: bool = False,
    ) -> list[AsyncListedSession]:
        """The sessions that the server knows: see the database's `list_sessions`."""
        return await self._admin().list_sessions(
            session, comment, local=local, all_users=all_users, failed=failed
        )

    @openable
    async def list_databases(
        self,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AsyncCommandCursor[dict[str, Any]]:
        """A cursor over the descriptions of all databases: name, size, emptiness.

        :param kwargs: further elements of the `listDatabases` command, such as `filter`
        :param comment: any value, to find the command by in the server's log and profiler
        """
        opening = calls.list_databases(self._admin(), session, comment, kwargs)
        cursor: AsyncCommandCursor[dict[str, Any]] = AsyncCommandCursor(opening, None)
        await drive(cursor._start())
        return cursor

    async def list_database_names(
        self, session: AsyncClientSession | None = None, comment: Any | None = None
    ) -> list[str]:
        """The names of all databases of the deployment.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        opening = calls.list_databases(self._admin(), session, comment, {"nameOnly": True})
        cursor: AsyncCommandCursor[dict[str, Any]] = AsyncCommandCursor(opening, None)
        return [found["name"] for found in await every(cursor)]

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
    ) -> AsyncChangeStream[DocumentType]:
        """Open a change stream of all databases but `admin`, `config` and `local`.

        The parameters are those of `AsyncCollection.watch`.
        """
        stream: AsyncChangeStream[DocumentType] = AsyncClusterChangeStream(
            self.admin,
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

    async def bulk_write(
        self,
        models: Sequence[WriteOp[Any]],
        session: AsyncClientSession | None = None,
        ordered: bool = True,
        verbose_results: bool = False,
        bypass_document_validation: bool | None = None,
        comment: Any | None = None,
        let: Mapping[str, Any] | None = None,
        write_concern: WriteConcern | None = None,
    ) -> ClientBulkWriteResult:
        """Make many writes to several collections by one command; needs MongoDB 8.0 or later.

        :param models: a list of `InsertOne`, `UpdateOne`, `UpdateMany`, `ReplaceOne`, `DeleteOne`
            and `DeleteMany`, each with the `namespace` it is for
        :param ordered: stop at the first that fails; False tries them all
        :param verbose_results: have the result tell of each operation, not only how many there were
        :param write_concern: instead of the client's
        :param comment: any value, to find the command by in the server's log and profiler

        Raises ClientBulkWriteException, which tells what was done, which operations failed and why,
        and InvalidOperation for a server that is too old.
        """
        return await drive(
            client_bulk.bulk_write(
                self,
                models,
                session,
                ordered,
                verbose_results,
                bypass_document_validation,
                comment,
                let,
                write_concern,
            )
        )

    async def drop_database(
        self,
        name_or_database: str | AsyncDatabase[DocumentTypeArg],
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
    ) -> None:
        """Delete a database with everything in it; no error if there is none.

        :param name_or_database: its name, or the database of this client
        :param comment: any value, to find the command by in the server's log and profiler
        """
        database = self[calls.database_name(name_or_database)]
        if is_own(database, "command", _COMMAND):
            await drive(calls.drop_database(database, session, comment))
        else:
            command = calls.drop_command(comment)
            if not (database.write_concern.is_server_default or in_transaction(session, self)):
                command["writeConcern"] = database.write_concern.document
            primary = ReadPreference.PRIMARY
            reply = await database.command(command, read_preference=primary, session=session)
            checked_write_concern(reply)

    async def server_info(self, session: AsyncClientSession | None = None) -> dict[str, Any]:
        """What `buildInfo` says: version, modules, and so on."""
        return await self.admin.command(
            "buildinfo", read_preference=ReadPreference.PRIMARY, session=session
        )

    @property
    def options(self) -> ClientOptions:
        """The options it was made with, parsed: PyMongo's `ClientOptions`."""
        return self._client_options

    @property
    def topology_description(self) -> TopologyDescription:
        """What is known of the deployment now, as PyMongo's object."""
        return calls.topology_description(self)

    @property
    def nodes(self) -> frozenset[Address]:
        """The servers known so far, as (host, port); empty before the first answer and after
        `close()`."""
        return calls.known_nodes(self)

    @property
    async def address(self) -> tuple[str, int] | None:
        """The (host, port) of the primary, standalone or only mongos; waits for one.

        Raises InvalidOperation for several mongos, ServerSelectionTimeoutError if none is found.
        """
        await drive(calls.opening(self))
        calls.check_one_address(self)
        server = await drive(calls.select_writable(self, "address"))
        address: tuple[str, int] = server["address"]
        return address

    @property
    async def primary(self) -> tuple[str, int] | None:
        """The (host, port) of the replica set's primary as known now, or None."""
        if calls.may_open(self):
            await drive(calls.opening(self))
        known = calls.topology(self)
        primary: tuple[str, int] | None = known["primary"]
        return primary if known["type"] == "ReplicaSetWithPrimary" else None

    @property
    async def secondaries(self) -> set[Address]:
        """The (host, port) of the replica set's secondaries as known now."""
        if calls.may_open(self):
            await drive(calls.opening(self))
        return calls.members(self, "RSSecondary")

    @property
    async def arbiters(self) -> set[Address]:
        """The (host, port) of the replica set's arbiters as known now."""
        if calls.may_open(self):
            await drive(calls.opening(self))
        return calls.members(self, "RSArbiter")

    @property
    async def is_primary(self) -> bool:
        """Whether the selected server takes writes; waits for one."""
        return (await drive(calls.select_writable(self, "is_primary")))["type"] in calls.WRITABLE

    @property
    async def is_mongos(self) -> bool:
        """Whether the deployment is sharded; waits for a server."""
        server = await drive(calls.select_writable(self, "is_mongos"))
        return bool(server["type"] == "Mongos")

    def append_metadata(self, driver_info: DriverInfo) -> None:
        """Name a library that works with this client in the handshakes of new connections.

        :param driver_info: its name, version and platform; said once, however often it is given
        """
        append_metadata(self, driver_info, _IS_SYNC)

    async def close(self) -> None:
        """End the server sessions and close every connection; operations raise from then on."""
        await drive(calls.closing(self))
        calls.closed(self)

    aclose = close  # async only

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def eq_props(self) -> tuple[tuple[Address, ...], str | None, str | None, str]:
        """What makes two clients equal: seeds, replica set, SRV host and SRV service."""
        return calls.identity(self._settings)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, type(self)):
            return self.eq_props() == other.eq_props()
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.eq_props())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({describe(self._settings)})"

    def __del__(self) -> None:
        # A constructor that raised leaves no `_core`.
        if "_core" in self.__dict__ and self._used and not self._core.closed:
            made_at = "".join(self._made_at.format())
            warnings.warn(
                f"Unclosed {type(self).__name__}, made at:\n{made_at}Call its close() to end "
                "its connections and free what it holds.",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _admin(self) -> AsyncDatabase[Mapping[str, Any]]:
        """The admin database without the client's own options."""
        admin: AsyncDatabase[Any] = self.get_database(
            "admin", DEFAULT_CODEC_OPTIONS, ReadPreference.PRIMARY, WriteConcern()
        )
        return admin


_COMMAND = AsyncDatabase.command
