"""`atomic` blocks: their options, their state, and the verdicts at their end. Sends nothing.

A `ScopeState` is one attempt at the transaction of an outermost block; it is found through
`AMBIENT`. The engine keeps the transaction's first failure and its outcome (`_core.Session`).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from pymongo.client_session_shared import SessionOptions
from pymongo.errors import ConfigurationError, InvalidOperation, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import ClientBase, ScopeBase, check_read_preference
from ferromongo._calls.context_changes import ContextChanges
from ferromongo._calls.sessions import AMBIENT, Found, ambient, used_by
from ferromongo._calls.transaction_errors import TransactionRolledBack, rolled_back
from ferromongo._calls.with_transaction import TRANSIENT, UNKNOWN, Attempts, has_label
from ferromongo._core import Session
from ferromongo._pymongo_internals import ServerMode

if TYPE_CHECKING:
    from typing import Self

Result = TypeVar("Result")

EngineSession: TypeAlias = Session
Hook = Callable[[], Any]
OnRetry = Callable[[int, Exception], Any]

log = logging.getLogger("ferromongo.transaction")


class TransactionReport(NamedTuple, Generic[Result]):
    """What `run_atomic(..., report=True)` returns."""

    result: Result
    """What the function returned."""
    attempts: list[Exception]
    """The errors for which it was run again, in order; empty if the first attempt succeeded."""


class AtomicOptions(NamedTuple):
    """The arguments of `atomic`, checked."""

    read_concern: ReadConcern | None
    write_concern: WriteConcern | None
    read_preference: ServerMode | None
    max_commit_time_ms: int | None
    max_attempts: int | None
    timeout: float | None
    on_retry: OnRetry | None
    durable: bool
    refuses: bool

    def begin_time(self) -> ContextChanges | None:
        """Limit the time of the block and its end, if there is a limit; `undo` it afterwards."""
        if self.timeout is None:
            return None
        changes = ContextChanges()
        changes.limit_time(self.timeout)
        return changes


def atomic_options(
    read_concern: Any = None,
    write_concern: Any = None,
    read_preference: Any = None,
    max_commit_time_ms: Any = None,
    max_attempts: Any = None,
    timeout: Any = None,
    on_retry: Any = None,
    durable: bool = False,
    savepoint: bool = False,
    concurrency: str = "wait",
) -> AtomicOptions:
    """Raises TypeError, ValueError or ConfigurationError for what cannot be."""
    if read_concern is not None and not isinstance(read_concern, ReadConcern):
        raise TypeError(f"read_concern must be a ReadConcern, not {type(read_concern)}")
    if write_concern is not None:
        if not isinstance(write_concern, WriteConcern):
            raise TypeError(f"write_concern must be a WriteConcern, not {type(write_concern)}")
        if not write_concern.acknowledged:
            raise ConfigurationError(
                f"transactions do not support unacknowledged write concern: {write_concern!r}"
            )
    if read_preference is not None:
        check_read_preference(read_preference)
    if max_commit_time_ms is not None and not _is_number(max_commit_time_ms, int):
        raise TypeError(f"max_commit_time_ms must be an integer, not {type(max_commit_time_ms)}")
    if max_attempts is not None:
        if not _is_number(max_attempts, int):
            raise TypeError(f"max_attempts must be an integer, not {type(max_attempts)}")
        if max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")
    if timeout is not None:
        if not _is_number(timeout, (int, float)):
            raise TypeError(f"timeout must be a number of seconds, not {type(timeout)}")
        if timeout <= 0:
            raise ValueError(f"timeout must be greater than 0, not {timeout}")
    if on_retry is not None and not callable(on_retry):
        raise TypeError(f"on_retry must be callable, not {type(on_retry)}")
    if savepoint:
        raise ConfigurationError("MongoDB has no savepoints: an inner block joins the outer one")
    if concurrency not in ("wait", "error"):
        raise ValueError(f'concurrency must be "wait" or "error", not {concurrency!r}')
    return AtomicOptions(
        read_concern,
        write_concern,
        read_preference,
        max_commit_time_ms,
        max_attempts,
        timeout,
        on_retry,
        bool(durable),
        concurrency == "error",
    )


def check_function(function: Any, is_sync: bool, decorated: bool) -> None:
    """Raise TypeError for a function whose body would run after the block has ended."""
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"atomic() makes a function atomic, not {function!r}")
    called = function if inspect.isroutine(function) else type(function).__call__
    for code in (function, called):
        if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
            raise TypeError(
                "atomic() cannot make a generator atomic, whose body runs after the call has "
                "returned: use a `with` block around the loop that reads it"
            )
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
    if is_sync and is_async:
        raise TypeError("an async function needs atomic() of an AsyncMongoClient")
    if decorated and not is_sync and not is_async:
        raise TypeError("atomic() of an AsyncMongoClient decorates async functions only")


class ScopeState(ScopeBase):
    """One attempt at the transaction of an outermost block.

    The engine's session is made for the first operation: most blocks of a web application's
    requests have none.
    """

    core: Session | None = None
    """What the instance says is decided once, by `dict.setdefault`: a session by the first
    operation, or None by the end of a block without one."""
    _error: BaseException | None = None
    _wants_rollback = False
    _committed_empty = False
    over = False
    has_hooks = False
    _on_commit: Sequence[tuple[Hook, bool]] = ()
    _on_rollback: Sequence[Hook] = ()

    def __init__(
        self, client: ClientBase, options: AtomicOptions, is_sync: bool, attempt: int = 1
    ) -> None:
        self.client = client
        self.options = options
        self.is_sync = is_sync
        self.attempt = attempt

    def next(self) -> Self:
        """The attempt after this one, which was rolled back."""
        following = type(self)(self.client, self.options, self.is_sync, self.attempt + 1)
        if self.core is not None:
            following.core = self.core.next_scope()
        return following

    def join(self) -> Session:
        self.check_open()
        return self.core or self._begin()

    def check_open(self) -> None:
        """Raise if the transaction takes no more operations."""
        if self.over:
            raise InvalidOperation(
                "the transaction has ended: a task or thread outlived the atomic() block that it "
                "was started in"
            )
        if self._error is not None:
            raise rolled_back(self._error)

    def _begin(self) -> Session:
        core: Session | None = self.__dict__.setdefault("core", self.new_core())
        if core is None:
            self.check_open()  # raises: the end came in between
            raise AssertionError
        return core

    def new_core(self) -> Session:
        client, options = self.client, self.options
        return client._core.begin_scope(
            options.read_concern or client._read_concern,
            options.write_concern or client._write_concern,
            options.read_preference or client._read_preference,
            options.max_commit_time_ms,
            options.refuses,
        )

    def core_of_session(self) -> Session:
        """For code that holds the block's session object, maybe after the block's end."""
        if self.core is None and self.over:
            ended = self.new_core()
            ended.leave_scope()
            return ended
        return self.core or self._begin()

    def close(self, commits: bool) -> Session | None:
        """No operation joins from here on. The session that has something to commit or abort."""
        core: Session | None = self.__dict__.setdefault("core", None)
        if core is None:
            self._committed_empty = commits
        elif commits and core.end_unused():
            return None
        return core

    def leave(self) -> None:
        """End the engine's session; never waits."""
        if self.core is not None:
            self.core.leave_scope()

    @property
    def outcome(self) -> str | None:
        """How the transaction ended, as far as is known; None before its end."""
        if self.core is not None:
            return self.core.outcome
        if not self.over:
            return None
        return "committed" if self._committed_empty else "aborted"

    def joined_by(self, options: AtomicOptions) -> None:
        """Raise unless another block may join."""
        if options.durable:
            raise InvalidOperation("a durable atomic() block cannot be part of another one")
        self.check_open()

    def failed_inside(self, error: BaseException) -> None:
        """An exception has left an inner block: the transaction will be rolled back."""
        if self._error is not None:
            return
        first = self.first_error()
        if isinstance(error, TransactionRolledBack):
            first = first or error
        self._error = error if first is None or _is_of_server(error) else first

    def first_error(self) -> BaseException | None:
        """That which made it impossible to commit."""
        return self._error or (None if self.core is None else self.core.failure)

    def must_roll_back(self) -> bool:
        if self._wants_rollback or self._error is not None:
            return True
        return self.core is not None and self.core.failure is not None

    def set_rollback(self, rollback: bool) -> None:
        self._wants_rollback = rollback

    def raise_first_error(self) -> None:
        """After the transaction was rolled back although no exception has left the block."""
        first = self.first_error()
        if first is not None:
            raise rolled_back(first)

    def add_on_commit(self, function: Hook, robust: bool) -> None:
        self._on_commit = [*self._on_commit, (function, robust)]
        self.has_hooks = True

    def add_on_rollback(self, function: Hook) -> None:
        self._on_rollback = [*self._on_rollback, function]
        self.has_hooks = True

    def after_commit(self) -> Sequence[tuple[Hook, bool]]:
        """The hooks that are due, if the transaction is known to be committed. Each is due once."""
        if self.outcome != "committed":
            return ()
        due, self._on_commit = self._on_commit, ()
        return due

    def after_rollback(self) -> Sequence[Hook]:
        if self.outcome != "aborted":
            return ()
        due, self._on_rollback = self._on_rollback, ()
        return due


class Entry:
    """What a block changes of what operations of its thread or task use.

    It has no token of the variable: a block may be left in another context than it was entered in.
    KeyboardInterrupt may come between any two steps, so that `leave` is not called or does nothing;
    it is made up for when the exception has been handled and the entry is dropped.
    """

    _before: Found = None
    _inside: Found = None

    def __init__(self, scope: ScopeBase) -> None:
        """Operations of the scope's client are part of it from here on."""
        self._before = AMBIENT.get()
        self._inside = scope if self._before is None else ambient().with_scope(scope)
        AMBIENT.set(self._inside)

    def leave(self) -> None:
        """May be called more than once."""
        if AMBIENT.get() is self._inside:
            AMBIENT.set(self._before)

    __del__ = leave


class AtomicAttempts(Attempts):
    """The attempts at one transaction: as with_transaction has them, and at most so many.

    :param limit: when the time limits around the block end
    """

    causes: Sequence[Exception] = ()

    def __init__(self, now: float, limit: float | None, max_attempts: int | None) -> None:
        super().__init__(now, limit)
        self._max_attempts = max_attempts

    def attempt_failed(self, error: Exception, scope: ScopeState, now: float) -> Exception:
        """The error, if the transaction should be tried again; else raises it."""
        self.causes = [*self.causes, error]
        self._last_error = error
        # What the body has made of an error that ended its transaction does not matter.
        first = scope.first_error()
        transient = has_label(error, TRANSIENT) or has_label(first, TRANSIENT)
        if not transient or scope.outcome != "aborted":
            raise error
        self._failed += 1
        if self._failed == self._max_attempts:
            raise error
        self._check_time(now)
        log.info("attempt %d at a transaction failed and is made again: %s", self._failed, error)
        return error

    def explain(self, final: Exception) -> None:
        """Let the error that is raised say what became of the attempts: in its `attempts`."""
        if isinstance(final, PyMongoError) or len(self.causes) > 1:
            with suppress(AttributeError):
                final.attempts = list(self.causes)  # type: ignore[attr-defined]

    def finished(self) -> list[Exception]:
        """The errors of the attempts that failed, which are not kept here."""
        causes, self.causes = self.causes, ()
        return [*causes]

    def commit_again(self, error: PyMongoError, core: Session, now: float) -> bool:
        """Whether to send the commit once more; raises if there is no time for that."""
        if has_label(error, UNKNOWN) and core.may_commit_again:
            self.commit_failed(error, now)
            return True
        return False


class OutsideTransaction:
    """`outside_transaction`: a context in which operations of a client use no ambient session."""

    def __init__(self, client: ClientBase) -> None:
        if not isinstance(client, ClientBase):
            raise TypeError(f"outside_transaction needs a client, not {type(client)}")
        self._client = client
        self._entries: list[Entry] = []

    def __enter__(self) -> None:
        self._entries.append(Entry(ScopeBase(self._client)))

    def __exit__(self, *exception: object) -> None:
        self._entries.pop().leave()


class _Done:
    """What `on_commit` returns when there is nothing to wait for."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


DONE: Awaitable[Any] = _Done()
NO_OPTIONS = atomic_options()
SCOPE_SESSION_OPTIONS = SessionOptions()


def current_scope(client: ClientBase | None) -> ScopeState | None:
    """The block around the caller: the innermost one, or that of the client."""
    if client is None:
        scopes = ambient().scopes
        scope: Any = scopes[0][1] if scopes else None
    else:
        scope = used_by(client, AMBIENT.get())
    return scope if isinstance(scope, ScopeState) else None


def joinable_scope(client: ClientBase, options: AtomicOptions) -> ScopeState | None:
    """The block that a new one would be part of."""
    scope = used_by(client, AMBIENT.get())
    if not isinstance(scope, ScopeState):
        return None
    scope.joined_by(options)
    return scope


def scope_for_hook(client: ClientBase | None, function: Any) -> ScopeState | None:
    if not callable(function):
        raise TypeError(f"a hook must be callable, not {type(function)}")
    scope = current_scope(client)
    if scope is None:
        return None
    if scope.over:
        scope.check_open()  # raises
    if scope.is_sync and inspect.iscoroutinefunction(function):
        raise TypeError("an async hook needs an atomic() block of an AsyncMongoClient")
    return scope


def _is_of_server(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and not isinstance(error, TransactionRolledBack)


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
