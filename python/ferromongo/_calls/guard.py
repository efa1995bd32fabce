"""The guard of transactions: it reports operations that were meant to be part of one and are not.

A session that is not passed on is a silent mistake: the operation runs at once, on its own, and a
roll-back does not undo it. `MongoClient(transaction_guard=...)` says what happens to an operation
without a session while a transaction of the same client, started in the same thread or task, is
in progress.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
import weakref
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from pymongo.errors import InvalidOperation

from ferromongo._calls.transaction_errors import OutsideTransactionWarning

if TYPE_CHECKING:
    from ferromongo._calls.bases import ClientBase
    from ferromongo._core import Session

LOGGER = logging.getLogger("ferromongo.transaction")
CHOICES = ("log", "warn", "error", "off")


class Started(NamedTuple):
    session: weakref.ref[Session]
    """Weak, so that the guard does not keep a session alive."""
    owner: Any


STARTED: ContextVar[tuple[Started, ...]] = ContextVar("ferromongo_transactions", default=())
"""The transactions that were started in this context, as long as they may be in progress."""


def validate_guard(value: Any) -> str:
    if value not in CHOICES:
        allowed = ", ".join(map(repr, CHOICES))
        raise ValueError(f"transaction_guard must be one of {allowed}, not {value!r}")
    return str(value)


def note_started(session: Session) -> None:
    """A transaction was started by hand, in this thread or task."""
    STARTED.set((*_in_progress(), Started(weakref.ref(session), _owner())))


def check_outside(client: ClientBase) -> None:
    """Called for operations without any session if something was started in this context."""
    started = _in_progress()
    if started is not STARTED.get():
        STARTED.set(started)
    choice = client._settings.transaction_guard
    if choice == "off" or not started:
        return
    owner = _owner()
    if any(_belongs(entry, client) and entry.owner == owner for entry in started):
        _report(client, choice)


def _report(client: ClientBase, choice: str) -> None:
    name, caller, depth = _call_site()
    text = (
        f"{name} without a session while a transaction is in progress is not part of the "
        "transaction: pass session= to make it so"
    )
    if choice == "error":
        raise InvalidOperation(text)
    file, line = caller.f_code.co_filename, caller.f_lineno
    if (file, line) in client._sites_guarded:
        return
    client._sites_guarded.add((file, line))
    if choice == "warn":
        warnings.warn(text, OutsideTransactionWarning, stacklevel=depth)
    else:
        LOGGER.warning("%s (%s:%d)", text, file, line, stacklevel=depth)


def _call_site() -> tuple[str, FrameType, int]:
    """The public method, who called it, and how many frames above `_report` that is."""
    frame, depth, name = sys._getframe(1), 1, "iteration"
    while frame.f_back is not None:
        module: str = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != "ferromongo":
            break
        called = frame.f_code.co_name
        # A callback may return what with_transaction then awaits.
        if called[0] != "_" and called != "with_transaction" and "._" not in module:
            name = f"{called}()"
        frame, depth = frame.f_back, depth + 1
    return name, frame, depth


def _in_progress() -> tuple[Started, ...]:
    found = STARTED.get()
    kept = tuple(entry for entry in found if _transaction_of(entry))
    return found if len(kept) == len(found) else kept


def _transaction_of(entry: Started) -> bool:
    session = entry.session()
    return session is not None and session.in_transaction


def _belongs(entry: Started, client: ClientBase) -> bool:
    session = entry.session()
    return session is not None and session.client is client._core


def _owner() -> Any:
    """The task that runs, else the thread; a child task inherits its parent's context."""
    asyncio = sys.modules.get("asyncio")  # a program that never imported it has no tasks
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is not None:
            return weakref.ref(task)
    return threading.get_ident()
