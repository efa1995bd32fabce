"""Transactions without a session to pass around: see docs/transactions.md.

    from ferromongo.transaction import atomic, on_commit

    @atomic(client)
    def transfer(source, target, amount):
        accounts.update_one({"_id": source}, {"$inc": {"balance": -amount}})
        accounts.update_one({"_id": target}, {"$inc": {"balance": amount}})
        on_commit(lambda: send_receipt(source, target))

    with atomic(client):
        ...

With an AsyncMongoClient the function is an async one, and the block `async with atomic(client):`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Unpack, overload

from pymongo.errors import InvalidOperation

from ferromongo._calls import atomic as calls
from ferromongo._calls.atomic import OutsideTransaction, TransactionReport
from ferromongo._calls.atomic_arguments import AtomicArguments
from ferromongo._calls.bases import ClientBase
from ferromongo._calls.transaction_errors import OutsideTransactionWarning, TransactionRolledBack
from ferromongo.asynchronous.mongo_client import AsyncMongoClient
from ferromongo.asynchronous.transaction import AsyncAtomic
from ferromongo.synchronous.mongo_client import MongoClient
from ferromongo.synchronous.transaction import Atomic


@overload
def atomic(client: MongoClient[Any], **options: Unpack[AtomicArguments]) -> Atomic: ...
@overload
def atomic(client: AsyncMongoClient[Any], **options: Unpack[AtomicArguments]) -> AsyncAtomic: ...
def atomic(client: Any, **options: Any) -> Any:
    """A transaction: a decorator of functions, and a context manager.

    Operations of the client inside join it without `session=`. It is committed at the end, and
    rolled back if an exception leaves it. An inner one joins the outer one.

    The decorated function is run again after errors with the label TransientTransactionError, as by
    `with_transaction`, so it must not have other side effects: pass these to `on_commit`. A `with`
    block cannot be run again. In both the commit is retried.

    :param read_concern: and the next three: those of `start_transaction`
    :param max_attempts: how often the function may be run; as often as time allows if not given
    :param timeout: seconds for everything, 120 for beginning another attempt if not given
    :param on_retry: called before another attempt with the number of the one that failed and its
        error
    :param durable: refuse to be part of another one
    :param savepoint: must be False, as MongoDB has no savepoints
    :param concurrency: whether operations of several tasks or threads in one transaction wait for
        each other, or raise InvalidOperation
    """
    checked = calls.atomic_options(**options) if options else calls.NO_OPTIONS
    if isinstance(client, AsyncMongoClient):
        return AsyncAtomic(client, checked)
    if isinstance(client, MongoClient):
        return Atomic(client, checked)
    raise TypeError(f"atomic() needs a MongoClient or an AsyncMongoClient, not {type(client)}")


def on_commit(
    function: Callable[[], Any], robust: bool = False, *, client: ClientBase | None = None
) -> Awaitable[Any]:
    """Call the function once the transaction around the caller is committed.

    The functions are called in order, outside of the transaction. They are forgotten if it is
    rolled back or run again. If one raises, those after it are not called, unless it is `robust`:
    then the exception is logged. In a block of an AsyncMongoClient the function may be async.

    Outside of a transaction it is called at once. What it returns there can be awaited, and must be
    if the function is async; inside there is nothing to wait for.

    :param client: whose transaction is meant; the innermost one if not given
    """
    scope = calls.scope_for_hook(client, function)
    if scope is not None:
        scope.add_on_commit(function, robust)
        return calls.DONE
    try:
        answered = function()
    except Exception:
        if not robust:
            raise
        calls.log.exception("a hook failed outside of a transaction")
        return calls.DONE
    if not inspect.isawaitable(answered):
        return calls.DONE
    return _robustly(answered) if robust else answered


async def _robustly(answered: Awaitable[Any]) -> Any:
    try:
        return await answered
    except Exception:
        calls.log.exception("a hook failed outside of a transaction")


def on_rollback(function: Callable[[], Any], *, client: ClientBase | None = None) -> None:
    """Call the function if the transaction around the caller is rolled back, or this attempt at it.

    Its exceptions are logged. It is not called if the outcome of a commit is unknown, or if the
    block is left by an exception such as KeyboardInterrupt or CancelledError. Outside of a
    transaction it is not called either.

    :param client: whose transaction is meant; the innermost one if not given
    """
    scope = calls.scope_for_hook(client, function)
    if scope is not None:
        scope.add_on_rollback(function)


def set_rollback(rollback: bool, *, client: ClientBase | None = None) -> None:
    """Have the transaction around the caller rolled back at its end, without an exception.

    False takes that back. What was caused by an error stays.

    :param client: whose transaction is meant; the innermost one if not given

    Raises InvalidOperation outside of a transaction.
    """
    scope = calls.current_scope(client)
    if scope is None or scope.over:
        raise InvalidOperation("set_rollback needs an atomic() block around it")
    scope.set_rollback(rollback)


def current_attempt(*, client: ClientBase | None = None) -> int:
    """The number of the running attempt at the transaction around the caller: 1 for the first, 0
    outside of a transaction.

    :param client: whose transaction is meant; the innermost one if not given
    """
    scope = calls.current_scope(client)
    return 0 if scope is None else scope.attempt


def outside_transaction(client: ClientBase) -> OutsideTransaction:
    """A context (`with`, on both APIs) whose operations are not part of the transaction around it.

    Nor do they use a session that was bound. An `atomic()` in it is a transaction of its own.
    """
    return OutsideTransaction(client)


__all__ = [
    "AsyncAtomic",
    "Atomic",
    "OutsideTransactionWarning",
    "TransactionReport",
    "TransactionRolledBack",
    "atomic",
    "current_attempt",
    "on_commit",
    "on_rollback",
    "outside_transaction",
    "set_rollback",
]
