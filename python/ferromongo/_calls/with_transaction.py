"""The verdicts of `with_transaction`: retry the callback, retry the commit, or give up.

The rules are the convenient API of the transactions specification. The loop itself calls user code
and therefore lives in the session classes.
"""

from __future__ import annotations

import random

from pymongo.errors import (
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)

from ferromongo._pymongo_internals import (
    current_deadline,
    current_timeout,
    with_transaction_limit,
)


def time_limit() -> float | None:
    """When the `timeout()` blocks around the caller end, on the monotonic clock."""
    return current_deadline() if current_timeout() else None


class Attempts:
    """Counts the attempts at one transaction, from `now` on the monotonic clock.

    :param limit: the user's own time limit, which takes the place of 120 seconds
    """

    _failed = 0
    _last_error: BaseException | None = None

    def __init__(self, now: float, limit: float | None = None) -> None:
        self._began = now
        self._limit = limit

    def backoff(self, now: float) -> float:
        """Seconds to wait before the next attempt; raises when they would end after the limit."""
        if not self._failed:
            return 0.0
        longest = _FIRST_BACKOFF * 1.5 ** min(self._failed, _GROWS_TO)
        seconds = random.random() * min(longest, _LONGEST_BACKOFF)
        self._check_time(now + seconds)
        return seconds

    def callback_failed(self, error: BaseException, now: float) -> None:
        """Returns if the transaction should be tried again; raises otherwise."""
        self._last_error = error
        if not has_label(error, TRANSIENT):
            raise error
        self._failed += 1
        self._check_time(now)

    def commit_failed(self, error: PyMongoError, now: float, may_help: bool = True) -> bool:
        """True to send the commit again, False to try the whole transaction again; or raises.

        :param may_help: whether another commit may bring another answer, as the engine knows
        """
        self._last_error = error
        if has_label(error, UNKNOWN) and may_help and not _took_too_long(error):
            self._check_time(now)
            return True
        if has_label(error, TRANSIENT):
            self._failed += 1
            self._check_time(now)
            return False
        raise error

    def _check_time(self, then: float) -> None:
        limit = self._began + with_transaction_limit() if self._limit is None else self._limit
        if then < limit:
            return
        text = str(self._last_error)
        timeout: PyMongoError
        if self._limit is not None:
            reply = {"ok": 0, "errmsg": text, "code": _MAX_TIME_EXPIRED}
            timeout = ExecutionTimeout(text, _MAX_TIME_EXPIRED, reply)
        else:
            timeout = NetworkTimeout(text)
        if isinstance(self._last_error, PyMongoError):
            timeout._error_labels = self._last_error._error_labels.copy()
        raise timeout from self._last_error


def _took_too_long(error: PyMongoError) -> bool:
    """The server had as long as it was allowed."""
    return isinstance(error, OperationFailure) and error.code == _MAX_TIME_EXPIRED


def has_label(error: BaseException | None, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)


_FIRST_BACKOFF = 0.005
_LONGEST_BACKOFF = 0.5
_GROWS_TO = 20  # long enough; the power of thousands of attempts is no float
_MAX_TIME_EXPIRED = 50
UNKNOWN = "UnknownTransactionCommitResult"
TRANSIENT = "TransientTransactionError"
