"""AgnosticClientSession: Motor's session."""

from __future__ import annotations

import asyncio
import time
from asyncio import Future
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import SessionBase
from ferromongo._calls.with_transaction import Attempts, time_limit
from ferromongo._pymongo_internals import ServerMode
from ferromongo.motor.core.futures import started
from ferromongo.motor.core.session_operations import SessionOperations
from ferromongo.synchronous.client_session import ClientSession

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.motor.core.client import AgnosticClient

_T = TypeVar("_T")


class AgnosticClientSession(SessionOperations, SessionBase):
    """Operations that belong together; made by `await client.start_session()`.

    async with await client.start_session() as session:
        async with session.start_transaction():
            await orders.insert_one({"item": "tea"}, session=session)
    """

    _client: Any

    def __init__(self, delegate: ClientSession, motor_client: AgnosticClient[Any]) -> None:
        """Made by `client.start_session()`."""
        super().__init__(delegate)
        self._client = motor_client
        # The engine's session: operations take this one as they take the delegate.
        self._core = delegate._core
        self._options = delegate.options

    @property
    def client(self) -> AgnosticClient[Any]:
        """The client that started it."""
        client: AgnosticClient[Any] = self._client
        return client

    def get_io_loop(self) -> Any:
        """The loop of its client."""
        return self._client.get_io_loop()

    def end_session(self) -> Future[None]:
        """Abort a running transaction and give the server session back. May be called twice."""
        return started(self, self._core.end)

    def start_transaction(
        self,
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ServerMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> _MotorTransactionContext:
        """Start a transaction; not to be awaited.

        What it returns can be used in `async with`: it commits at the end of the block and aborts
        if the block raises.
        """
        self.delegate.start_transaction(
            read_concern, write_concern, read_preference, max_commit_time_ms
        )
        return _MotorTransactionContext(self)

    async def with_transaction(
        self,
        coro: Callable[[Self], Awaitable[_T]],
        read_concern: ReadConcern | None = None,
        write_concern: WriteConcern | None = None,
        read_preference: ServerMode | None = None,
        max_commit_time_ms: int | None = None,
    ) -> _T:
        """Await `coro(session)` in a transaction and commit; returns what it returns.

        Transient errors run it again, and unknown results of a commit send the commit again, for up
        to 120 seconds. Any other exception aborts the transaction and is raised.
        """
        attempts = Attempts(time.monotonic(), time_limit())
        while True:
            if wait := attempts.backoff(time.monotonic()):
                await asyncio.sleep(wait)
            self.start_transaction(read_concern, write_concern, read_preference, max_commit_time_ms)
            try:
                result = await coro(self)
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
                if attempts.commit_failed(error, time.monotonic()):
                    continue
                return False
            return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.end_session()

    def __enter__(self) -> NoReturn:
        raise AttributeError(
            "Use Motor sessions like 'async with await client.start_session()', not 'with'"
        )

    def __exit__(self, *error: object) -> None:
        pass


class _MotorTransactionContext:
    """Commits on a normal exit, aborts on an exception; neither if the body did it already."""

    def __init__(self, session: AgnosticClientSession) -> None:
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
