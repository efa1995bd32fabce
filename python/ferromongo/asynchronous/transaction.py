"""AsyncAtomic: what `ferromongo.transaction.atomic` makes for an AsyncMongoClient."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import ref

from pymongo.errors import InvalidOperation, PyMongoError

from ferromongo._calls.atomic import (
    SCOPE_SESSION_OPTIONS,
    AtomicAttempts,
    AtomicOptions,
    EngineSession,
    Entry,
    ScopeState,
    check_function,
    joinable_scope,
    log,
)
from ferromongo._calls.context_changes import ContextChanges
from ferromongo._calls.with_transaction import time_limit
from ferromongo._drive import answer, drive, pause
from ferromongo.asynchronous.client_session import AsyncClientSession

if TYPE_CHECKING:
    from ferromongo.asynchronous.mongo_client import AsyncMongoClient

_T = TypeVar("_T")
_P = ParamSpec("_P")
_IS_SYNC = False


class AsyncAtomic:
    """A block, or the calls of a function, as a transaction; made by `atomic(client, ...)`."""

    def __init__(self, client: AsyncMongoClient[Any], options: AtomicOptions) -> None:
        self._client = client
        self._options = options
        self._block: tuple[AsyncScope, bool, Entry, ContextChanges | None] | None = None

    def __call__(
        self, function: Callable[_P, Coroutine[Any, Any, _T]]
    ) -> Callable[_P, Coroutine[Any, Any, _T]]:
        """The function, each call of which is a transaction and may run it more than once."""
        check_function(function, _IS_SYNC, decorated=True)

        @functools.wraps(function)
        async def atomically(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            result: _T = (await self.call(function, args, kwargs))[0]
            return result

        return atomically

    async def __aenter__(self) -> AsyncClientSession:
        """Operations of the client join the transaction from here on.

        The block cannot be run again: only the commit is retried. What it returns is the session of
        the transaction, for code that insists on being given one.
        """
        if self._block is not None:
            raise InvalidOperation("this atomic() block is in use: call atomic() for another one")
        joined = joinable_scope(self._client, self._options)
        scope = joined or AsyncScope(self._client, self._options, _IS_SYNC)
        assert isinstance(scope, AsyncScope)  # of a client of the same kind
        limit = self._options.begin_time()
        try:
            entry = Entry(scope)
            self._block = scope, joined is None, entry, limit
            return scope.session
        except BaseException:
            if self._block is not None:
                entry.leave()
                self._block = None
            if limit is not None:
                limit.undo()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        assert self._block is not None
        (scope, outermost, entry, limit), self._block = self._block, None
        entry.leave()
        by_exit = exc_val is not None and not isinstance(exc_val, Exception)
        try:
            if outermost:
                await _end(scope, exc_val, None)
            elif exc_val is not None:
                scope.failed_inside(exc_val)
        except BaseException as error:
            by_exit = not isinstance(error, Exception)
            raise
        finally:
            if limit is not None:
                limit.undo()
            if outermost:
                scope.leave()
                if scope.has_hooks and not by_exit:
                    await _after_rollback(scope)
        if outermost and scope.has_hooks and exc_val is None:
            await _after_commit(scope)

    async def call(
        self, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> tuple[Any, list[Exception]]:
        """What the function returned, and the errors of attempts before that one."""
        if joinable_scope(self._client, self._options) is not None:
            async with AsyncAtomic(self._client, self._options):
                return await answer(function(*args, **kwargs)), []
        limit = self._options.begin_time()
        try:
            scope, result, causes = await self._attempts(function, args, kwargs)
        finally:
            if limit is not None:
                limit.undo()
        if scope.has_hooks:
            await _after_rollback(scope)  # by set_rollback
            await _after_commit(scope)
        return result, causes

    async def _attempts(
        self, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> tuple[AsyncScope, Any, list[Exception]]:
        attempts, began = None, time.monotonic()
        scope = AsyncScope(self._client, self._options, _IS_SYNC)
        try:
            while True:
                try:
                    result = await _attempt(scope, began, function, args, kwargs)
                    break
                except Exception as error:
                    if attempts is None:
                        attempts = AtomicAttempts(began, time_limit(), self._options.max_attempts)
                    failed = attempts.attempt_failed(error, scope, time.monotonic())
                await _after_rollback(scope)
                if self._options.on_retry is not None:
                    await answer(self._options.on_retry(scope.attempt, failed))
                del failed
                if wait := attempts.backoff(time.monotonic()):
                    await pause(wait)
                scope = scope.next()
        except Exception as error:
            if attempts is not None:
                attempts.explain(error)
            await _after_rollback(scope)
            raise
        finally:
            scope.leave()
        return scope, result, [] if attempts is None else attempts.finished()


class AsyncScope(ScopeState):
    """One attempt at a transaction."""

    # Weak: in a cycle, the engine's session would outlive a block that Ctrl-C has left midway.
    _session: ref[AsyncClientSession] | None = None

    @property
    def session(self) -> AsyncClientSession:
        """The session as operations may be given it."""
        known = None if self._session is None else self._session()
        if known is None:
            known = AsyncScopeSession(self)
            self._session = ref(known)
        return known


class AsyncScopeSession(AsyncClientSession):
    """The session of a block's transaction, which only the block begins and ends."""

    def __init__(self, scope: AsyncScope) -> None:
        self._client: Any = scope.client
        self._options = SCOPE_SESSION_OPTIONS
        self._given_snapshot_time = None
        self._scope = scope

    @property
    def _core(self) -> EngineSession:  # type: ignore[override]
        return self._scope.core_of_session()


async def _attempt(
    scope: AsyncScope,
    began: float,
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
) -> Any:
    entry = Entry(scope)
    try:
        result = await answer(function(*args, **kwargs))
    except BaseException as error:
        entry.leave()
        await _end(scope, error, began)
        raise
    entry.leave()
    await _end(scope, None, began)
    return result


async def _end(scope: AsyncScope, error: BaseException | None, began: float | None) -> None:
    """Commit, or roll back after an error; raises what made a commit impossible."""
    scope.over = True
    commits = error is None and not scope.must_roll_back()
    core = scope.close(commits)
    if commits:
        if core is not None:
            await _commit(core, began)
        return
    # When a coroutine is closed nothing can be awaited: leaving the scope has it aborted.
    if core is not None and not isinstance(error, GeneratorExit):
        with suppress(PyMongoError):
            await drive(core.abort_scope())
    if error is None:
        scope.raise_first_error()


async def _commit(core: EngineSession, began: float | None) -> None:
    """:param began: when the first attempt did, whose time ends that of the commit; now if None"""
    attempts, began = None, began or time.monotonic()
    try:
        while True:
            try:
                return await drive(core.commit_scope())
            except PyMongoError as error:
                attempts = attempts or AtomicAttempts(began, time_limit(), None)
                if not attempts.commit_again(error, core, time.monotonic()):
                    raise
    except Exception:
        # Refused before it was sent: another operation was under way.
        if core.in_transaction:
            with suppress(PyMongoError):
                await drive(core.abort_scope())
        raise


async def _after_commit(scope: AsyncScope) -> None:
    for function, robust in scope.after_commit():
        try:
            await answer(function())
        except Exception:
            if not robust:
                raise
            log.exception("a hook failed after the transaction was committed")


async def _after_rollback(scope: AsyncScope) -> None:
    for function in scope.after_rollback():
        try:
            await answer(function())
        except Exception:
            log.exception("a hook failed after the transaction was rolled back")
