"""AsyncClientSession: causal consistency and transactions."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar

from bson.timestamp import Timestamp
from pymongo.client_session_shared import SessionOptions
from pymongo.errors import InvalidOperation, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import SessionBase
from ferromongo._calls.guard import note_started
from ferromongo._calls.session_decorator import check_function, dressed_as
from ferromongo._calls.sessions import (
    AMBIENT,
    bind,
    check_cluster_time,
    check_snapshot_time,
    transaction_options,
)
from ferromongo._calls.with_transaction import Attempts, time_limit
from ferromongo._drive import answer, drive, pause
from ferromongo._pymongo_internals import ServerMode
from ferromongo.typings import ClusterTime

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.asynchronous.mongo_client import AsyncMongoClient

_T = TypeVar("_T")
_P = ParamSpec("_P")
_IS_SYNC = False


class AsyncClientSession(SessionBase):
    """Operations that belong together; made by `client.start_session()`.

    Pass it as `session=` to operations. It must not be used by two operations at the same time.

        async with client.start_session() as session:
            async with await session.start_transaction():
                await orders.insert_one({"item": "tea"}, session=session)
                await stock.update_one({"item": "tea"}, {"$inc": {"n": -1}}, session=session)

    Or decorate a function with it, which is then called with a session of its own each time, before
    its other arguments:

        @client.start_session()
        async def order(session, item):
            async with await session.start_transaction():
                await orders.insert_one({"item": item}, session=session)

        await order("tea")
    """

    def __init__(
        self,
        client: AsyncMongoClient[Any],
        options: SessionOptions,
        snapshot_time: Timestamp | None = None,
    ) -> None:
        """Made by `client.start_session()`."""
        check_snapshot_time(snapshot_time, options)
        self._client: AsyncMongoClient[Any] = client
        self._options = options
        self._given_snapshot_time = snapshot_time
        self._core = client._core.start_session(
            bool(options.causal_consistency), bool(options.snapshot), snapshot_time
        )

    def __call__(
        self, function: Callable[Concatenate[AsyncClientSession, _P], Awaitable[_T]]
    ) -> Callable[_P, Coroutine[Any, Any, _T]]:
        """The function, called each time with a new session of the same options, then ended."""
        check_function(function, _IS_SYNC)

        async def with_session(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            client, options = self._client, self._options
            async with AsyncClientSession(client, options, self._given_snapshot_time) as session:
                result: _T = await answer(function(session, *args, **kwargs))
                return result

        decorated: Callable[_P, Coroutine[Any, Any, _T]] = dressed_as(function, with_session)
        return decorated

    @property
    def client(self) -> AsyncMongoClient[Any]:
        """The client that started it; only its operations may use the session."""
        return self._client

    @property
    def options(self) -> SessionOptions:
        """The options it was started with."""
        return self._options

    @property
    def session_id(self) -> Mapping[str, Any]:
        """The id by which the server knows it. Raises InvalidOperation once ended."""
        return self._core.session_id

    @property
    def cluster_time(self) -> ClusterTime | None:
        """The newest cluster time seen by the session."""
        return self._core.cluster_time

    @property
    def operation_time(self) -> Timestamp | None:
        """The operation time of the last operation in the session."""
        time: Timestamp | None = self._core.operation_time
        return time

    @property
    def snapshot_time(self) -> Timestamp | None:
        """The time at which a snapshot session reads; None before its first read.

        Raises InvalidOperation for any other session.
        """
        if not self._options.snapshot:
            raise InvalidOperation("only a snapshot session has a snapshot_time")
        time: Timestamp | None = self._core.snapshot_time
        return time

    @property
    def has_ended(self) -> bool:
        """Whether `end_session` was called."""
        return self._core.has_ended

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was started and neither committed nor aborted."""
        return self._core.in_transaction

    def advance_cluster_time(self, cluster_time: Mapping[str, Any]) -> None:
        """Make the session at least as new as another one's `cluster_time`."""
        check_cluster_time(cluster_time)
        self._core.advance_cluster_time(cluster_time)

    def advance_operation_time(self, operation_time: Timestamp) -> None:
        """Make the session's reads at least as new as another one's `operation_time`."""
        if not isinstance(operation_time, Timestamp):
            raise TypeError(f"operation_time must be a Timestamp, not {type(operation_time)}")
        self._core.advance_operation_time(operation_time)

    async def start_transaction(
        self,
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ServerMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> AbstractAsyncContextManager[Any]:
        """Start a transaction; the server hears of it with the first operation.

        What it returns can be used in `async with`: it commits at the end of the block and aborts
        if the block raises. Options not given are the session's defaults, then the client's.

        :param max_commit_time_ms: milliseconds the commit may take on the server

        Raises InvalidOperation if a transaction is in progress or the session has ended.
        """
        options = transaction_options(
            self, read_concern, write_concern, read_preference, max_commit_time_ms
        )
        self._core.start_transaction(
            options.read_concern,
            options.write_concern,
            options.read_preference,
            options.max_commit_time_ms,
        )
        note_started(self._core)
        return _AsyncTransactionContext(self)

    async def commit_transaction(self) -> None:
        """Make the transaction's writes visible, all at once. May be called again to be sure.

        Raises InvalidOperation without a transaction or after an abort.
        """
        await drive(self._core.commit_transaction())

    async def abort_transaction(self) -> None:
        """Undo the transaction's writes. Errors of the server are not raised.

        Raises InvalidOperation without a transaction, after a commit, or the second time.
        """
        await drive(self._core.abort_transaction())

    async def with_transaction(
        self,
        callback: Callable[[AsyncClientSession], Awaitable[_T]],
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ServerMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> _T:
        """Run `callback(session)` in a transaction and commit; returns what the callback returns.

        Transient errors run the callback again and unknown commit results send the commit again,
        for up to 120 seconds or the `timeout()` around the call, so the callback must not have side
        effects outside the database.
        Any other exception aborts the transaction and is raised.
        """
        attempts = Attempts(time.monotonic(), time_limit())
        attempt = 0
        while True:
            if wait := attempts.backoff(time.monotonic()):
                await pause(wait)
            await self.start_transaction(
                read_concern, write_concern, read_preference, max_commit_time_ms
            )
            attempt += 1
            self._core.note_attempt(attempt)
            try:
                result: _T = await answer(callback(self))
            except BaseException as error:
                if self.in_transaction:
                    await self.abort_transaction()
                attempts.callback_failed(error, time.monotonic())
                continue
            if not self.in_transaction or await self._commit(attempts):
                return result

    async def _commit(self, attempts: Attempts) -> bool:
        """True once committed, False if the transaction must be run again."""
        while True:
            try:
                await self.commit_transaction()
            except PyMongoError as error:
                again = self._core.may_commit_again
                if attempts.commit_failed(error, time.monotonic(), again):
                    continue
                return False
            return True

    def bind(self, end_session: bool = True) -> AbstractAsyncContextManager[AsyncClientSession]:
        """A context in which operations without `session=` use this session.

        :param end_session: end the session when the context is left
        """
        return _AsyncBoundContext(self, end_session)

    async def end_session(self) -> None:
        """Abort a running transaction and give the server session back. May be called twice."""
        await self._end()

    async def _end(self) -> None:
        try:
            if self.in_transaction:
                await self.abort_transaction()
        finally:
            await drive(self._core.end())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self._end()

    def __copy__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied; start another one")


class _AsyncTransactionContext:
    """Commits on a normal exit, aborts on an exception; neither if the body did it already."""

    def __init__(self, session: AsyncClientSession) -> None:
        self._session = session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._session.in_transaction:
            if exc_val is None:
                await self._session.commit_transaction()
            else:
                await self._session.abort_transaction()


class _AsyncBoundContext:
    def __init__(self, session: AsyncClientSession, end_session: bool) -> None:
        self._session = session
        self._end_session = end_session
        self._token: Token[Any] | None = None

    async def __aenter__(self) -> AsyncClientSession:
        self._token = bind(self._session)
        return self._session

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._token is not None:
            AMBIENT.reset(self._token)
            self._token = None
        if self._end_session:
            await self._session.end_session()
