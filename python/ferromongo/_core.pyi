"""The Rust engine as Python sees it. Only `_calls`, `_drive` and `bson` import it.

Times are seconds (float) or None for "no limit". Commands are mappings whose first key is the
command's name; the engine adds what belongs to the connection: `$db`, `lsid`, `txnNumber`,
`$clusterTime`, `readConcern`, `writeConcern`, `$readPreference`, transaction fields.
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, Self, TypeVar, final

from bson import Int64, ObjectId, Timestamp

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

__version__: str

@final
class Pending(Generic[_T_co]):
    """A call that has not been sent: block on it once with `run`, or await it once. Nothing is done
    before that, so one that is dropped has not been made."""

    def run(self) -> _T_co: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def __iter__(self) -> Pending[_T_co]: ...
    def __next__(self) -> Any: ...
    def send(self, _value: Any) -> Any: ...
    def throw(self, kind: Any, value: Any = None, _traceback: Any = None) -> Any: ...
    def close(self) -> None: ...

@final
class Client:
    """Topology, pools, server sessions and cluster time of one client.

    `settings` keys (all required): seeds (list of (host, port), port None for a Unix domain
    socket), replica_set (str | None), direct_connection (bool), load_balanced (bool), app_name
    (str | None), metadata (the handshake's `client` document), drivers (list of (name, version,
    platform) that monitors name), max_pool_size (int, 0 = no limit), min_pool_size (int),
    max_idle_time, max_connecting (int), wait_queue_timeout, server_selection_timeout,
    server_selector (None or a callable: list of PyMongo's ServerDescription -> those to
    consider), connect_timeout, socket_timeout, local_threshold, heartbeat_frequency, retry_writes
    (bool), retry_reads (bool), compressors (list of names), zlib_level (int), credentials
    (mechanism or "DEFAULT", source, user, password; or None), server_api (None or the elements
    that every command carries), poll (bool: monitors do not await changes), timeout (0 is a limit
    that never ends, and not None), max_adaptive_retries (int), overload_retargeting (bool), tls
    (None or a mapping: ca_file, certificate_key_file, certificate_key_password, crl_file (all
    str | None), allow_invalid_certificates, allow_invalid_hostnames (bool)). The files are read at
    once; ConfigurationError for one that is no good. events (EventQueue | None), journal
    (Journal | None).
    """

    def __new__(
        cls, settings: Mapping[str, Any], look_up: Callable[[SeedLookup], None] | None = None
    ) -> Client:
        """With `look_up` the settings are not complete: the first operation calls it, and all wait
        until the lookup it was given is answered. It is called anew after a failure, and in a
        forked child. It must not block."""
    def open(self) -> Pending[None]:
        """Start monitoring; any operation does so too. Raises InvalidOperation after close."""
    def replace_hosts(self, hosts: Sequence[tuple[str, int]]) -> None:
        """What the SRV records of a sharded deployment say now; no others are changed."""
    def append_metadata(
        self, metadata: Mapping[str, Any], driver: tuple[str, str | None, str | None]
    ) -> None:
        """New connections send this document; those of the monitors name the driver."""
    def close(self) -> Pending[None]:
        """End server sessions and close every socket. May be called twice."""
    @property
    def closed(self) -> bool: ...
    def topology(self) -> dict[str, Any]:
        """What is known now, without I/O: type (PyMongo's TOPOLOGY_TYPE name), set_name,
        primary ((host, port) | None), servers: dict[(host, port)] -> dict with type (PyMongo's
        SERVER_TYPE name), rtt, error (str | None), max_wire_version, hosts, arbiters."""
    def topology_description(self) -> Any:
        """The same as PyMongo's TopologyDescription."""
    def select(self, read_preference: Any, asker: str) -> Pending[dict[str, Any]]:
        """Wait for a suitable server; answers its entry of `topology()["servers"]` plus address.
        Raises ServerSelectionTimeoutError."""
    def start_session(
        self, causal_consistency: bool, snapshot: bool, snapshot_time: Any = None
    ) -> Session: ...
    def begin_scope(
        self,
        read_concern: Any,
        write_concern: Any,
        read_preference: Any,
        max_commit_time_ms: int | None,
        refuses: bool,
    ) -> Session:
        """A session whose only transaction has begun. Its operations take turns, or raise
        InvalidOperation if `refuses`; after the transaction's end or first failure all raise."""
    def end_of_transaction(
        self, entry: bytes, commit: bool
    ) -> Pending[tuple[Literal["committed", "aborted", "unknown"], bytes | None, int | None]]:
        """Send the end of a transaction of another process, as `Journal.entries()` has it: how it
        ended, the error's document (message, code?, labels) and the cluster time in seconds. A
        commit asks for a majority. Errors are answered, but for ValueError and cancellation."""
    def cluster_time(self) -> Mapping[str, Any] | None: ...

@final
class Journal:
    """The transaction log of clients (their setting `journal`). Entries are BSON documents: lsid
    (Binary 4), txnNumber, state ("open" | "committing" | "ended"), started, statements (of command,
    ns, body?), commits, pid; and where known: committing (when the commit was first about to be
    sent), ended (dates), outcome, error (message, code?, labels), recoveryToken, readConcern,
    writeConcern, clusterTime (seconds, as last seen), sessionTimeoutMinutes, setName, hosts, user
    ("source.name"), marker. In `entries()` `living` is true while a session of this process may
    still end it, or send its commit again. An error of the disk, also of a statement or a commit,
    which are not sent then, is a TransactionLogError."""

    def __new__(
        cls,
        path: str | None,
        capacity: int,
        max_bytes: int | None,
        full: bool,
        marker: str | None,
    ) -> Journal:
        """Without a path entries are kept in memory alone. ConfigurationError if another process
        has the file open, or if it is damaged or no log."""
    @staticmethod
    def of_collection(
        client: Client,
        database: str,
        collection: str,
        capacity: int,
        full: bool,
        marker: str | None,
    ) -> Journal:
        """Each entry is a document there, `_id` with its lsid and txnNumber, written with w:
        majority before the commit is sent and when it has ended. It is not read: `entries()` are
        this process's, and `resolve` changes nothing in the collection."""
    def entries(self) -> list[bytes]:
        """All without a known outcome, and the latest of the others; oldest first."""
    @staticmethod
    def read(path: str) -> list[bytes]:
        """The entries of a file, which another process may be writing."""
    def resolve(self, entry: bytes, outcome: str, error: bytes | None) -> None:
        """Note what was found out. It is on the disk when this returns."""
    def close(self) -> None:
        """Bring everything to the disk; another process may open the file. May be called twice."""

@final
class EventQueue:
    """What happened to one client, for its listeners and logs.

    `wanted` says whether somebody listens to events of commands, pools, servers, heartbeats and
    topologies. The two codecs decode commands and replies.
    """

    def __new__(
        cls,
        wanted: tuple[bool, bool, bool, bool, bool],
        pool_options: Mapping[str, Any],
        command_codec: Any,
        reply_codec: Any,
        local_threshold: float,
    ) -> EventQueue: ...
    @property
    def number(self) -> int:
        """Unique in the process."""
    @property
    def client_id(self) -> ObjectId:
        """Names the client in logs, and its topology."""
    def __len__(self) -> int:
        """How many background events wait for the dispatcher."""
    def take(
        self, own: OwnEvents | None = None
    ) -> tuple[str, tuple[Any, ...], dict[str, Any] | None] | None:
        """The next event as a method of PyMongo's listeners (or of `Logs` only), its arguments, and
        if it is to be logged what the log tells besides; None if there is none. Without `own` it is
        one of the background, and then `done` is due. If it raises, that event is lost and `done`
        not due."""
    def done(self) -> None: ...
    def wait(self) -> bool:
        """Block until there is a background event; False if there will be no more."""
    def end(self) -> None:
        """The client is closed or gone: `wait` returns False when the queue is empty."""
    def stop(self) -> None:
        """The interpreter ends: no further event is returned."""

@final
class OwnEvents:
    """The events of an operation, for its listeners."""

def note_loggers(wanted: tuple[bool, bool, bool, bool, bool, bool]) -> None:
    """Whether the loggers of commands, connections, selections and topologies want records, and
    that of transactions those of all and of unknown outcomes."""

@final
class SeedLookup:
    """A look-up that operations wait for. Dropped unanswered, it has failed."""

    def found(self, settings: Mapping[str, Any]) -> None:
        """The client's complete settings."""
    def failed(self, error: Exception) -> None:
        """The operations raise ConfigurationError (or InvalidURI) with its text."""

@final
class Session:
    """An explicit session: logical session id, causal consistency, one transaction at a time."""

    @property
    def client(self) -> Client: ...
    @property
    def session_id(self) -> Mapping[str, Any]:
        """{"id": Binary(subtype 4)}; taken from the pool at first use."""
    @property
    def cluster_time(self) -> Mapping[str, Any] | None: ...
    @property
    def operation_time(self) -> Any: ...
    @property
    def snapshot_time(self) -> Any: ...
    def advance_cluster_time(self, cluster_time: Mapping[str, Any]) -> None: ...
    def advance_operation_time(self, operation_time: Any) -> None: ...
    @property
    def has_ended(self) -> bool: ...
    @property
    def in_transaction(self) -> bool: ...
    @property
    def dirty(self) -> bool: ...
    def start_transaction(
        self,
        read_concern: Any,
        write_concern: Any,
        read_preference: Any,
        max_commit_time_ms: int | None,
    ) -> None:
        """Arguments are PyMongo's option objects (never None but for the last). No I/O.
        Raises InvalidOperation (ended, in progress, snapshot session) or ConfigurationError."""
    def note_attempt(self, number: int) -> None:
        """For the transaction log: the transaction that has begun is such an attempt."""
    def commit_transaction(self) -> Pending[None]: ...
    def abort_transaction(self) -> Pending[None]: ...
    @property
    def outcome(self) -> Literal["committed", "aborted", "unknown"] | None:
        """How the transaction ended, as far as is known; None before its end."""
    @property
    def outcome_error(self) -> Exception | None:
        """What its last commit failed with; None also for one that was cut short."""
    @property
    def may_commit_again(self) -> bool:
        """False if another commit would get the answer of the last one."""
    @property
    def failure(self) -> Exception | None:
        """The first error that may have ended the transaction."""
    def end_unused(self) -> bool:
        """End the transaction if it has had no operation; False if it had."""
    def commit_scope(self) -> Pending[None]: ...
    def abort_scope(self) -> Pending[None]: ...
    def next_scope(self) -> Session:
        """That of another attempt at the transaction, which has ended."""
    def leave_scope(self) -> None:
        """End the session. Never waits: a transaction that is open is aborted in the background."""
    def end(self) -> Pending[None]:
        """Abort a running transaction, give the server session back. May be called twice."""

@final
class Scope:
    """Where and how commands of one Database or Collection run; immutable, made once per object."""

    @property
    def timeout(self) -> float | None:
        """The client's timeoutMS, in seconds; 0 for no limit."""
    def __new__(
        cls,
        client: Client,
        database: str,
        codec_options: Any,
        read_preference: Any,
        write_concern: Any,
        read_concern: Any,
    ) -> Scope: ...
    def command(
        self,
        command: Mapping[str, Any],
        session: Session | None,
        read_preference: Any = None,
        then: Callable[[Any], _T] | None = None,
        allowed: Sequence[str | int] | bool | None = None,
    ) -> Pending[Any]:
        """Any command as it is: no retry, no read or write concern added.
        `then(reply)` makes the result, here and below; without it the reply itself is.
        With an error whose code (or message, if it has no code) is `allowed` the command did not
        fail: listeners, retries and transactions see a success. True allows all."""
    def read(
        self,
        command: Mapping[str, Any],
        session: Session | None,
        read_preference: Any = None,
        then: Callable[[Any], _T] | None = None,
        allowed: Sequence[str | int] | bool | None = None,
        users: str | None = None,
    ) -> Pending[Any]:
        """A retryable read: the scope's read preference applies, and its read concern except for
        lists and plans (explain). Of the reply the field `users` is the user's and decoded with
        their type decoders; all else never is, here and below."""
    def find_one(self, command: Mapping[str, Any], session: Session | None) -> Pending[Any]:
        """A `find` command with limit 1 and singleBatch: answers the document or None."""
    def write(
        self,
        command: Mapping[str, Any],
        session: Session | None,
        retryable: bool,
        then: Callable[[Any], _T] | None = None,
        allowed: Sequence[str | int] | bool | None = None,
        users: str | None = None,
    ) -> Pending[Any]:
        """A write command (update, delete, drop, ...): the write concern applies; with `retryable`
        it gets a txnNumber where the server can. The reply may carry writeErrors or
        writeConcernError: raising them is the caller's (`_calls`) part.
        With an unacknowledged write concern the reply is {} (sent, answer not awaited)."""
    def output(
        self,
        command: Mapping[str, Any],
        session: Session | None,
        then: Callable[[Any], _T] | None = None,
    ) -> Pending[Any]:
        """An aggregate that ends in $out or $merge: read preference and both concerns apply. It is
        not retried, and replies as a write does."""
    def insert(
        self,
        command: Mapping[str, Any],
        documents: Sequence[Any],
        session: Session | None,
        then: Callable[[Any, list[Any]], _T],
        measured: bool = False,
    ) -> Pending[_T]:
        """`insert`: adds missing `_id`s to the caller's documents, cuts into batches by the
        server's limits, stops at the first error when `ordered` is true. `then(totals, ids)` gets
        the same totals as `bulk_write`. `measured`: a document that is too large for the server is
        refused here."""
    def bulk_write(
        self,
        runs: Iterable[tuple[Mapping[str, Any], list[Any], range | list[int]]],
        session: Session | None,
        ordered: bool,
        retryable: bool,
        needs_8: bool,
        then: Callable[[dict[str, Any]], _T],
    ) -> Pending[_T]:
        """The runs one after another: of each the command (insert, update or delete) without its
        statements, the statements, and the position of each in the whole. They are cut into batches
        by the server's limits. `then(totals)` gets PyMongo's `bulk_api_result`, in which
        `writeErrors` have no "op" yet. `needs_8`: a statement sorts though it is unacknowledged;
        ConfigurationError is raised if the server is older than 8.0."""
    def client_bulk_write(
        self,
        command: dict[str, Any],
        operations: list[tuple[str, str, dict[str, Any]]],
        session: Session | None,
        ordered: bool,
        verbose: bool,
        retryable: bool,
        then: Callable[[dict[str, Any], list[tuple[int, dict[str, Any]]], Exception | None], _T],
    ) -> Pending[_T]:
        """`bulkWrite` with its operations (kind, namespace, document), batch by batch. Adds missing
        `_id`s to the documents that are inserted. `then(totals, results, unread)` gets PyMongo's
        `bulk_api_result` without the three dicts of results, in which `writeErrors` have no "op"
        yet; if `verbose`, what came of each operation that has not failed, with its position; and
        the error that kept results from being read. InvalidOperation is raised if the server is
        older than 8.0."""

@final
class GridUpload:
    """The chunks of one file that is written to GridFS: gathered as whole inserts of a few MB, and
    sent several at a time. What could not be sent is sent by the next call."""

    def __new__(
        cls,
        scope: Scope,
        collection: str,
        file: Mapping[str, Any],
        chunk_size: int,
        is_new: bool,
        refused: Callable[[Mapping[str, Any] | None], None],
    ) -> GridUpload:
        """`file` has the field `files_id` of the chunks; `is_new` if no other file has that, so
        that no insert has to show it. `refused` raises for an insert that failed; it gets the
        reply, or None if there are such chunks already."""
    @property
    def wanted(self) -> int:
        """How many bytes complete the next chunk."""
    @property
    def has_begun(self) -> bool: ...
    @property
    def is_stored(self) -> bool:
        """Some of its chunks are in the database."""
    @property
    def length(self) -> int:
        """How many bytes are in whole chunks."""
    def write(
        self, data: bytes, session: Session | None, most_bytes: int, most_chunks: int
    ) -> Pending[None] | None:
        """Take `data` in. None if that leaves no more than `most_bytes` and `most_chunks`."""
    def finish(
        self, session: Session | None, most_bytes: int, most_chunks: int
    ) -> Pending[None] | None:
        """What is left makes the last chunk. None if nothing is to be sent."""
    def give_up(self, session: Session | None) -> Pending[None] | None:
        """Store no more. None if it is known of all that was sent whether it is stored; the call
        finds out, so that the server carries out nothing later."""

@final
class GridDownload:
    """The chunks of one file that is read from GridFS, checked. They are read in order with one
    cursor; another is opened where reading goes on elsewhere, or went wrong.

    Positions lie within the file. CorruptGridFile is raised for chunks that do not make it up.
    """

    def __new__(
        cls,
        scope: Scope,
        collection: str,
        filter: Mapping[str, Any],
        length: int,
        chunk_size: int,
    ) -> GridDownload:
        """`filter` finds the chunks of the file."""
    def opens_at(self, position: int) -> bool:
        """Whether a cursor is opened to read there."""
    def read(
        self, position: int, count: int, session: Session | None, goes_to: int = 0
    ) -> Pending[bytes]:
        """`count` bytes, which the file must have; at its end makes sure that no chunk follows.

        The caller reads on up to `goes_to` at once: the next batch may be on its way meanwhile.
        """
    def line(self, position: int, most: int, session: Session | None) -> Pending[bytes]:
        """The same up to and with a newline, at most `most` bytes."""
    def chunk(self, position: int, session: Session | None, goes_to: int = 0) -> Pending[bytes]:
        """What is left of the chunk there. `goes_to`: as for `read`."""
    def chunk_at_hand(self, position: int) -> bytes | None:
        """The same if nothing has to be asked for that."""
    def check_end(self, session: Session | None) -> Pending[None]:
        """After the last chunk: CorruptGridFile if another one follows."""
    def close(self) -> Pending[None]:
        """Let the server forget the cursor."""

class CursorBase(Generic[_T]):
    """What Cursor and AsyncCursor share: a batch, decoded one document at a time.

    It has no fields: what the engine knows of a cursor is in the object's `__dict__`, so that a
    class can be derived from a cursor and from any other class. `next` and the other methods in
    the class attribute `_plain` are looked up only once they were overridden or patched.

    A subclass defines `_open(self)`, called once, at the first fetch. It returns an
    `_calls.openings.Opening`: scope, command (`find`, `aggregate`, `list...`), session or None,
    batch size (0 = server's), limit (0 = none), a mapping of what every getMore carries besides
    (`comment`, `maxTimeMS`) or None, and four bools: `exhaust`, `raw` (items are the bytes of
    whole batches), `any_command` (it runs like `Scope.command`, and InvalidOperation is raised
    if its reply has no cursor), `read_ahead`. It may return None instead: no documents, and
    nothing is sent. An empty batch of a command with `tailable` ends the iteration, not the
    cursor; of any command, only `_fetch_all`. Dropped unread, the core queues killCursors
    itself.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any: ...
    @property
    def alive(self) -> bool: ...
    @property
    def cursor_id(self) -> Int64 | None: ...
    @property
    def retrieved(self) -> int: ...
    @property
    def address(self) -> tuple[str, int | None] | None: ...
    def _started(self) -> bool:
        """True once the first command was sent: chain methods must refuse then."""
    def _start(self) -> Pending[None]:
        """Send the first command now unless it was sent: `aggregate` raises when it is called."""
    def _refill(self, until_some: bool) -> Pending[int]:
        """How many items are here; if none are, after a command, or `until_some` are or it ends."""
    def _at_hand(self) -> int:
        """How many items are here."""
    def _buffered(self) -> _T | None:
        """The next item, if nothing has to be sent for it."""
    def _peek(self, most: int) -> list[_T]:
        """The next items, at most `most`, if they are here; they stay to be read."""
    def _is_plain(self) -> bool:
        """Whether iteration has not been overridden or patched."""
    def _try_next(self) -> Pending[_T | None]:
        """The next item, or None if there is none after at most one command."""
    def _set_batch_size(self, batch_size: int) -> None:
        """The batch size of later getMores; 0 = server's."""
    def _set_read_ahead(self, reads_ahead: bool) -> None:
        """Whether each batch is asked for while the one before is read."""
    def _fetch_all(self, length: int | None = None) -> Pending[list[_T]]:
        """`to_list`."""
    def _close(self) -> Pending[None]:
        """Send killCursors if the server still has the cursor; end the implicit session."""
    def _reset(self) -> None:
        """Forget the batch so that the cursor opens anew (rewind); after `_close`."""

class SyncCursorBase(CursorBase[_T]):
    def __iter__(self) -> SyncCursorBase[_T]: ...
    def __length_hint__(self) -> int:
        """Not known; `list` and `tuple` ask for it, and will read all: batches are read ahead."""
    def __next__(self) -> _T: ...
    def _next(self) -> Pending[_T]:
        """The next item; raises StopIteration at the end."""

class AsyncCursorBase(CursorBase[_T]):
    def __aiter__(self) -> Self: ...
    def _ready(self) -> _T | None:
        """For `__anext__`: the next item if it is here and iteration is plain, else None."""
    def _next(self) -> Pending[_T]:
        """The next item; raises StopAsyncIteration at the end."""

class ChangeStreamBase(Generic[_T]):
    """What ChangeStream and AsyncChangeStream share: cursors one after another.

    A subclass defines `_shown_cursor(self)`: an empty cursor, which `_cursor` shows the latest
    cursor in.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any: ...
    @property
    def alive(self) -> bool: ...
    @property
    def _cursor(self) -> CursorBase[_T] | None: ...
    def _start(
        self,
        opening: tuple[Any, ...],
        token: Mapping[str, Any] | None,
        starts_after: bool,
        time: Timestamp | None,
    ) -> Pending[None]:
        """Open the first cursor. `opening` is as `_open` of a cursor returns it; its first stage
        gets the place to begin at: `token`, as `startAfter` or `resumeAfter`, or else `time`."""
    def _token(self) -> bytes | None:
        """The resume token last seen, as BSON."""
    def _buffered(self) -> _T | None:
        """The next event, if nothing has to be sent for it."""
    def _try_next(self) -> Pending[_T | None]:
        """The next event, or None if there is none after at most one getMore and one resume."""
    def _close(self) -> Pending[None]: ...

class SyncChangeStreamBase(ChangeStreamBase[_T]):
    def __iter__(self) -> SyncChangeStreamBase[_T]: ...
    def __next__(self) -> _T: ...
    def _next(self) -> Pending[_T]:
        """The next event; raises StopIteration when the stream has ended."""

class AsyncChangeStreamBase(ChangeStreamBase[_T]):
    def __aiter__(self) -> Self: ...
    def _ready(self) -> _T | None:
        """For `__anext__`: the next item if it is here and iteration is plain, else None."""
    def _next(self) -> Pending[_T]:
        """The next event; raises StopAsyncIteration when the stream has ended."""

def start(pending: Pending[_T], event_loop: AbstractEventLoop) -> Future[_T]:
    """Begin the call, at once if that loop is running here, else as soon as it runs. The Future
    belongs to the loop; cancelling it drops the operation."""

def encode(document: Any, check_keys: bool, codec_options: Any) -> bytes: ...
def decode(data: Any, codec_options: Any) -> Any: ...
def decode_all(data: Any, codec_options: Any) -> list[Any]: ...
